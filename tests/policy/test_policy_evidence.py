from __future__ import annotations

from typing import Any

import pytest
from builders import make_envelope, make_recipe, make_results
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.decision import Evidence
from autosurgeon.core.jobs import CompareResult, TrainResult
from autosurgeon.policy.evidence import (
    Results,
    baseline_facts,
    budget_facts,
    contamination_facts,
    data_facts,
    merge_facts,
    recipe_facts,
    salvage_facts,
    selftest_facts,
    smoke_facts,
    target_facts,
    training_facts,
    watch_facts,
)
from autosurgeon.policy.facts import BY_NAME, fact_of
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.stats.eprocess import EProcess

TASKS = ["mbpp/0", "mbpp/1", "mbpp/2", "he/0", "he/1"]
WATCHED = [f"watch.{name}" for name in ("canary_tasks", "canary_lost", "canary_net", "anchors_tried", "anchors_lost")]
ALL_PASS = make_results(dict.fromkeys(TASKS, True))
RESULTS = st.dictionaries(st.sampled_from(TASKS), st.booleans()).map(make_results)


def promotion(**changes: Any) -> Evidence:
    results = {"pack": ALL_PASS, "live": ALL_PASS, "base": ALL_PASS} | changes
    split_of = {task: e.split for r in ("live", "pack", "base") for task, e in results[r].items()}
    expected = {task: split_of.get(task, "gate") for task in TASKS}
    comparison: dict[str, Any] = {"expected": expected, "order": TASKS, "anchors": [], "impossible": (20, [])}
    return promotion_facts(Comparison(**(comparison | results)))


def watch(before: Results, after: Results, canary: list[str], anchors: list[str], **changes: Any) -> Evidence:
    content: dict[str, Any] = {"promoted": {}, "recovered": ()}
    return watch_facts(canary=canary, before=before, after=after, anchors=anchors, **(content | changes))


def data(reasons: list[str], splits: list[str], **changes: Any) -> Evidence:
    rows = [f"b/{n}" for n in range(len(reasons))]
    content: dict[str, Any] = {"rows": rows, "seen": (), "parameters": 100, "left_out": 7}
    return data_facts(reasons, splits, **(content | changes))


def compared(**changes: Any) -> CompareResult:
    content: dict[str, Any] = {"kl": 0.001, "largest_kl": 0.01, "flips": 1, "flipped_rows": 1, "tokens": 500, "rows": 9}
    tensors = dict.fromkeys(("missing_tensors", "foreign_tensors", "reshaped_tensors"), ())
    return CompareResult.model_validate(content | {"loss_a": 0.4, "loss_b": 0.4} | tensors | changes)


def trained(**changes: Any) -> TrainResult:
    content: dict[str, Any] = {
        "adapter": "adapter",
        "rows": 8,
        "steps": 4,
        "epochs": 1.0,
        "tokens": 100,
        "trainable_parameters": 10,
        "loss": 0.5,
        "first_epoch_loss": 1.0,
        "loss_fraction": 0.5,
        "gradient_norm": 1.0,
        "stopped_by": None,
    }
    return TrainResult.model_validate(content | changes)


def test_the_phases_together_measure_every_documented_fact_and_no_other() -> None:
    facts = (
        baseline_facts(verified=True, live_versions=0)
        | recipe_facts(make_recipe(), 1e-3)
        | data([], [])
        | selftest_facts([])
        | budget_facts(alpha=0.03, alpha_left=0.05, passes=1, hours=0.1, disk_gib=9.0)
        | merge_facts(compared(), verified=True)
        | contamination_facts({}, {})
        | target_facts([], {})
        | training_facts(trained())
        | smoke_facts([], {}, ())
        | salvage_facts(tried=0, rung=None, lost=0)
        | promotion()
        | watch({}, {}, [], [])
    )
    assert {name for name in facts if not name.startswith("slice.")} == BY_NAME.keys()
    assert all(fact_of(name) for name in facts)


def test_the_learning_rate_is_also_a_ratio_to_the_organs_own() -> None:
    assert recipe_facts(make_recipe(lr=2e-4), 1e-4)["recipe.lr_ratio"] == 2.0


def test_rows_are_counted_by_reason_and_by_split() -> None:
    facts = data(["poison", "poison", "anchor", "mastered"], ["surgery", "gate", "surgery", "canary"], seen={"b/1"})
    assert list(facts.values()) == [4, 2, 1, 1, 2, 1, 3, 7, 25.0]


def test_a_pass_without_rows_has_no_parameters_per_row() -> None:
    assert data([], [])["recipe.parameters_per_row"] is None


def test_contaminated_rows_are_counted_once_and_their_pairs_are_named() -> None:
    facts = contamination_facts({"a": ["a ~ x", "a ~ y"]}, {f"{n}": [f"{n} ~ z"] for n in range(30)})
    assert (facts["data.held_out_hits"], facts["data.held_out_pairs"]) == (1, ("a ~ x", "a ~ y"))
    assert facts["data.near_hits"] == 30
    assert facts["data.near_pairs"] == tuple(f"{n} ~ z" for n in range(20))


def test_a_target_leaks_when_another_handler_answered_for_it() -> None:
    assert target_facts(["mbpp", "lcb"], {"lcb": 50, "he": 3})["targets.leaking"] == 1


def test_a_loss_that_was_no_number_is_missing() -> None:
    assert training_facts(trained(loss=None))["training.loss"] is None


def test_a_smoke_that_ran_in_part_does_not_say_that_nothing_was_lost() -> None:
    results = make_results({"mbpp/0": True, "mbpp/1": False})
    assert smoke_facts(["mbpp/0", "mbpp/1"], results, ())["smoke.lost"] == 1
    assert smoke_facts(["mbpp/0", "mbpp/9"], make_results({"mbpp/0": True}), ())["smoke.lost"] is None


def test_a_smoke_that_ended_at_a_loss_states_it_though_not_every_anchor_ran() -> None:
    facts = smoke_facts(["mbpp/0", "mbpp/9"], make_results({"mbpp/0": False}), ())
    assert (facts["smoke.tried"], facts["smoke.lost"], facts["smoke.lost_names"]) == (1, 1, ("mbpp/0",))


def test_an_anchor_that_passes_on_a_retry_is_flaky_and_not_lost() -> None:
    facts = smoke_facts(["mbpp/0", "mbpp/1"], make_results({"mbpp/0": False, "mbpp/1": True}), {"mbpp/0"})
    assert (facts["smoke.lost"], facts["smoke.flaky"], facts["smoke.flake_rate"]) == (0, 1, 0.5)


def test_a_pack_is_held_against_each_base_where_the_adapter_was_trained_on_a_quantized_one_and_else_against_one() -> (
    None
):
    facts = merge_facts(
        compared(kl=0.01, flips=1), compared(kl=0.2, flips=7), compared(kl=0.01, flips=1), verified=True
    )
    names = ("merge.kl", "merge.kl_nf4", "merge.kl_bf16", "merge.flips", "merge.flips_nf4", "merge.flips_bf16")
    assert [facts[name] for name in names] == [0.01, 0.2, 0.01, 1, 7, 1]
    plain = merge_facts(compared(kl=0.01, flips=1), verified=True)
    assert [plain[name] for name in names] == [0.01, None, None, 1, None, None]


def test_a_merge_that_was_held_against_no_token_has_no_flips() -> None:
    facts = merge_facts(compared(tokens=0, flips=0, kl=None, missing_tensors=("a",)), verified=True)
    assert (facts["merge.missing_tensors"], facts["merge.kl"], facts["merge.flips"]) == (1, None, None)


def test_the_loss_of_anchors_is_stated_as_a_rise() -> None:
    facts = training_facts(trained(anchor_loss_before=0.25, anchor_loss_after=0.75))
    assert facts["training.anchor_loss_rise"] == 0.5
    assert training_facts(trained(anchor_loss_before=0.25))["training.anchor_loss_rise"] is None


def test_a_pack_equal_to_live_gains_and_loses_nothing() -> None:
    facts = promotion()
    assert (facts["bench.tasks"], facts["bench.missing"], facts["bench.worst_net"]) == (5, 0, 0)
    assert (facts["gate.net"], facts["gate.p_regression"]) == (0, 1.0)


def test_a_gain_on_one_bench_does_not_pay_for_a_loss_on_another() -> None:
    live = make_results(dict(zip(TASKS, [True, True, True, False, False], strict=True)))
    pack = make_results(dict(zip(TASKS, [True, True, False, True, True], strict=True)))
    facts = promotion(live=live, pack=pack, base=live)
    assert (facts["bench.worst_net"], facts["bench.worst_net_over_base"], facts["gate.net"]) == (-1, -1, 1)


@given(RESULTS, RESULTS, RESULTS)
def test_a_bench_that_ran_in_part_has_no_score(pack: Results, live: Results, base: Results) -> None:
    facts = promotion(pack=pack, live=live, base=base)
    complete = all(len(results) == len(TASKS) for results in (pack, live, base))
    assert (facts["bench.worst_net"] is not None) == complete
    assert facts["bench.missing"] == len(TASKS) - len(pack)


@pytest.mark.parametrize("short", ["pack", "live", "base"])
def test_one_task_that_one_pack_did_not_run_is_enough_to_have_no_score(short: str) -> None:
    facts = promotion(**{short: {task_id: ALL_PASS[task_id] for task_id in TASKS[1:]}})
    assert facts["bench.worst_net"] is None
    assert facts["bench.worst_net_over_base"] is None


@given(RESULTS, RESULTS)
def test_the_gate_compares_only_what_both_packs_ran(pack: Results, live: Results) -> None:
    facts = promotion(pack=pack, live=live)
    both = pack.keys() & live.keys()
    assert facts["gate.tasks"] == len(both)
    assert (facts["gate.net"] is None) == (facts["gate.p_regression"] is None) == (len(both) < len(TASKS))


def test_evidence_for_a_loss_is_the_largest_that_any_prefix_gave() -> None:
    live = make_results({"mbpp/0": True, "mbpp/1": True, "mbpp/2": False, "he/0": False, "he/1": False})
    pack = make_results({"mbpp/0": False, "mbpp/1": False, "mbpp/2": True, "he/0": True, "he/1": True})
    assert promotion(live=live, pack=pack)["gate.e_regression"] == EProcess(lost=2).e_regression


def test_totals_are_tested_exactly_both_ways_and_a_slice_has_its_own() -> None:
    live = make_results(dict.fromkeys(TASKS, False))
    facts = promotion(live=live)
    assert (facts["total.net"], facts["total.p_gain"], facts["total.p_regression"]) == (5, 1 / 32, 1.0)
    assert (facts["total.gained_per_lost"], facts["slice.mbpp.gate.gained"], facts["slice.he.all.net"]) == (5.0, 3, 2)


def test_a_bench_that_was_stopped_early_leaves_open_what_needs_all_of_it() -> None:
    pack = make_results({"mbpp/0": False})
    comparison = Comparison(dict.fromkeys(TASKS, "gate"), TASKS, pack, ALL_PASS, ALL_PASS, ["mbpp/0"], stopped=True)
    facts = promotion_facts(comparison)
    assert facts["gate.e_regression"] == EProcess(lost=1).e_regression
    assert facts["anchors.lost"] == 1
    needing_all = ("bench.missing", "bench.worst_net", "gate.net", "total.p_gain", "slice.mbpp.gate.net")
    assert [facts[name] for name in needing_all] == [None] * 5


def test_wins_of_live_that_were_never_confirmed_are_counted_apart_from_anchors() -> None:
    pack = ALL_PASS | make_results({"mbpp/0": False, "mbpp/1": False})
    facts = promotion(pack=pack, anchors=["mbpp/0"])
    assert (facts["anchors.lost_names"], facts["provisional.lost_names"]) == (("mbpp/0",), ("mbpp/1",))


def test_tasks_outside_the_gate_are_no_flips_of_the_gate() -> None:
    live, pack = (make_results(dict.fromkeys(TASKS, won), split="dev") for won in (True, False))
    facts = promotion(live=live, pack=pack, base=live)
    assert (facts["gate.tasks"], facts["gate.lost"], facts["bench.worst_net"]) == (0, None, -3)


def test_tasks_that_do_not_count_are_left_out() -> None:
    pack = ALL_PASS | make_results({"lcb/0": False}, handler="planner")
    assert promotion(pack=pack)["bench.foreign"] == 0


def test_answers_of_a_fallback_or_a_foreign_handler_are_counted() -> None:
    pack = ALL_PASS | {
        "mbpp/0": make_envelope("mbpp/0", fallback=True),
        "he/0": make_envelope("he/0", handler="planner"),
    }
    facts = promotion(pack=pack)
    assert (facts["bench.fallbacks"], facts["bench.foreign"]) == (1, 1)


def test_results_of_another_fingerprint_are_not_of_the_same_conditions() -> None:
    assert promotion()["bench.same_conditions"] is True
    pack = make_results(dict.fromkeys(TASKS, True), fingerprint="batch of 8")
    assert promotion(pack=pack)["bench.same_conditions"] is False


def test_packs_that_never_ran_were_under_no_conditions_at_all() -> None:
    assert promotion(pack={}, live={})["bench.same_conditions"] is None


def test_an_anchor_that_did_not_run_leaves_the_loss_unknown() -> None:
    pack = ALL_PASS | make_results({"mbpp/0": False})
    assert promotion(pack=pack, anchors=["mbpp/0", "mbpp/1"])["anchors.lost"] == 1
    assert promotion(pack=pack, anchors=["mbpp/0", "other/1"])["anchors.lost"] is None


def test_the_watch_knows_nothing_of_a_canary_that_ran_in_part() -> None:
    before = make_results({"mbpp/0": True, "mbpp/1": False})
    after = make_results({"mbpp/0": False, "mbpp/1": True})
    facts = watch(before, after, ["mbpp/0", "mbpp/1"], ["mbpp/1"])
    assert [facts[name] for name in WATCHED] == [2, 1, 0, 1, 0]
    short = watch(before, after, ["mbpp/0", "mbpp/2"], ["mbpp/2"])
    assert [short[name] for name in WATCHED] == [1, None, None, 0, None]


def test_live_is_held_against_the_record_of_its_own_promotion() -> None:
    promoted = make_results({"mbpp/0": True, "mbpp/1": True, "he/0": True})
    after = make_results({"mbpp/0": False, "mbpp/1": False})
    facts = watch(make_results({"he/0": False}), after, [], [], promoted=promoted, recovered={"mbpp/1"})
    assert (facts["watch.record_tasks"], facts["watch.record_lost"], facts["watch.net"]) == (2, 1, 1)


def test_a_watch_without_a_canary_knows_nothing() -> None:
    assert watch(ALL_PASS, ALL_PASS, [], [])["watch.canary_net"] is None


def test_a_passed_impossible_task_is_counted() -> None:
    facts = promotion(impossible=(20, ["mbpp/0#impossible"]))
    assert (facts["bench.impossible_tried"], facts["bench.impossible_passed"]) == (20, 1)


def test_a_gain_of_the_weaker_tier_is_no_net_gain_of_the_split_tier() -> None:
    live = make_results(dict.fromkeys(TASKS, False))
    weak = {task: envelope.model_copy(update={"tier": "shared"}) for task, envelope in ALL_PASS.items()}
    facts = promotion(live=live, pack=weak)
    assert (facts["gate.net"], facts["gate.net_split"], facts["bench.shared_tier"]) == (5, 0, 5)
    assert promotion(live=live)["gate.net_split"] == 5
