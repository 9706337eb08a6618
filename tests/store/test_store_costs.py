"""What the stages used: kept with each try, summed as it comes, and not known for those from before."""

from __future__ import annotations

from databases import Place, run_sql

from autosurgeon.core.decision import Cost
from autosurgeon.core.usage import Usage
from autosurgeon.store.sqlstore import SqlStore

TRAINED = Usage(gpu_seconds=8.0, peak_host_bytes=3 << 30, peak_gpu_bytes=5 << 40, energy_joules=900.0)
DIED = Usage(gpu_seconds=None, peak_host_bytes=4 << 30)


def fill(store: SqlStore) -> None:
    store.record_failure("pass-0001", "train", "killed", 2.0, DIED)
    store.commit_stage("pass-0001", "train", {"tokens": {"trained": 700}}, 9.0, "e1", usage=TRAINED)
    store.commit_stage("pass-0001", "bench", {"tokens": {"generated": 50}}, 1.0, "e2", usage=Usage(gpu_seconds=0.5))


def test_each_try_keeps_what_it_used_and_the_sum_is_at_hand(store: SqlStore, place: Place) -> None:
    assert store.spent() == Cost()
    fill(store)
    assert [stage.usage for stage in store.stages("pass-0001")] == [DIED, TRAINED, Usage(gpu_seconds=0.5)]
    assert [output.usage for output in store.stage_outputs("pass-0001")] == [TRAINED, Usage(gpu_seconds=0.5)]
    total = Cost(
        seconds=12.0,
        trained_tokens=700,
        generated_tokens=50,
        gpu_seconds=8.5,
        peak_host_bytes=4 << 30,
        peak_gpu_bytes=5 << 40,
        energy_joules=900.0,
    )
    assert store.spent() == total
    # Without a stored sum it is computed from the stages and continued.
    run_sql(place, "DELETE FROM spent")
    assert store.spent() == total
    store.record_failure("pass-0001", "watch", "killed", 1.0, DIED)
    assert store.spent() == total + Cost(seconds=1.0)


def test_the_cost_of_older_stages_is_shown_as_unknown(store: SqlStore, place: Place) -> None:
    fill(store)
    run_sql(place, "UPDATE stage SET usage = NULL")
    run_sql(place, "DELETE FROM spent")
    assert [stage.usage for stage in store.stages("pass-0001")] == [None] * 3
    assert store.spent() == Cost(seconds=12.0, trained_tokens=700, generated_tokens=50)
    assert set(store.spent().words.values()) == {"unknown"}
