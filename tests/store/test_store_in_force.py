"""A run keeps what it works under, and a pass what it was begun under."""

from __future__ import annotations

import json

from builders import make_contract, make_recipe

from autosurgeon.core.decision import Scalar
from autosurgeon.core.records import InForce
from autosurgeon.store.sqlstore import SqlStore


def test_a_run_keeps_what_it_works_under_and_which_end_it_had(store: SqlStore) -> None:
    in_force = InForce(
        policy="ab" * 32,
        name="mine",
        params={"gain": 2, "mode": "whole", "warn": True},
        assigned={"gain": 2},
        file="/p/mine.yaml",
        seed=2**53 - 1,
    )
    params = {name: {"default": value} for name, value in in_force.params.items()}
    store.keep_policy(in_force.policy, json.dumps({"name": "mine", "params": params}))
    store.end_run(store.begin_run(3, None, in_force), "stopped", "SIGHUP")
    run = store.last_run()
    assert run is not None
    assert (run.in_force, run.end_reason, run.end_detail) == (in_force, "stopped", "SIGHUP")
    begun, ended = (json.loads(event.payload) for event in store.each_event() if event.kind.startswith("run-"))
    assert begun == {"passes": 3, "hours": None, "in_force": in_force.model_dump(mode="json")}
    assert ended == {"reason": "stopped", "passes": 0, "detail": "SIGHUP"}
    store.end_run(store.begin_run(3, None), "passes")
    assert (run := store.last_run()) is not None
    assert (run.in_force, run.end_detail) == (None, None)


def test_what_is_in_force_is_shown_by_its_name_digest_parameters_and_seed() -> None:
    params: dict[str, Scalar] = {"gain": 2, "heat": 0.5, "mode": "whole", "warn": True}
    in_force = InForce(policy="0123456789ab" + "0" * 52, name="mine", params=params, seed=7)
    assert in_force.line == "policy mine 0123456789ab, gain=2, heat=0.5, mode=whole, warn=true, seed 7"
    assert InForce(policy="0" * 64).line == "policy 000000000000, seed unknown"


def test_a_pass_shows_the_policy_and_the_seed_of_its_contract(store: SqlStore) -> None:
    number = store.begin_pass(make_recipe(), "parent", "live", make_contract(policy="ab" * 32, seed=7))
    assert store.in_force_in(store.get_pass(number)) == InForce(policy="ab" * 32, seed=7)
    store.keep_policy("ab" * 32, json.dumps({"name": "mine", "params": {"gain": {"default": 2}}}))
    expected = InForce(policy="ab" * 32, name="mine", params={"gain": 2}, seed=7)
    assert store.in_force_in(store.get_pass(number)) == expected
