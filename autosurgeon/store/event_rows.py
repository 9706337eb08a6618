"""Rows from events of older chains, whose entries do not hold the rows themselves.

The rows are incomplete: without the outputs of stages, the feedback of passes and the content of policies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from autosurgeon.core.hash_chain import Event
from autosurgeon.core.pass_states import REACHED, PassState, number_of
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import Contract
from autosurgeon.core.usage import Usage

Row = dict[str, Any]


def rows_of_event(event: Event) -> Iterator[tuple[str, Row]]:
    """(table, columns) of each row of an event; a row of `begun` without `times` is a deleted one."""
    content = json.loads(event.payload)
    if event.kind in ("run-begun", "run-ended"):
        yield "run", _run(event, content)
    elif event.kind == "pass-begun":
        yield "pass", _pass_begun(event, content)
    elif event.kind == "pass-moved":
        moved = {"number": number_of(event.subject), "pack": content["pack"], "reason": content["reason"]}
        yield "pass", moved | _state(PassState(content["to"]), event.at)
    elif event.kind == "decision":
        yield from _decision(event, content)
    elif event.kind == "stage-begun":
        times = int(content["unended"]) + 1
        yield "begun", {"scope": event.subject, "name": content["stage"], "times": times, "at": event.at}
    elif event.kind in ("stage", "stage-failed"):
        yield "stage", _stage(event, content)
        yield "begun", {"scope": event.subject, "name": content["stage"], "times": None}
    elif event.kind == "look-paid":
        number = number_of(event.subject)
        paid = {"look": content["look"], "pass_number": number, "alpha": content["spent"], "left": content["left"]}
        yield "look", paid | {"at": event.at}
    elif event.kind == "quarantine":
        yield "quarantine", content


def _run(event: Event, content: Row) -> Row:
    row: Row = {"id": int(event.subject.removeprefix("run-"))}
    if event.kind == "run-ended":
        return row | {"ended_at": event.at, "end_reason": content["reason"], "passes_done": content["passes"]}
    limits = {"passes_limit": content["passes"], "hours_limit": content["hours"], "passes_done": 0}
    return row | limits | {"started_at": event.at}


def _pass_begun(event: Event, content: Row) -> Row:
    contract = content.get("contract")
    return {
        "number": number_of(event.subject),
        "state": PassState.PROPOSED.value,
        "reason": "",
        "recipe": Recipe.model_validate(content["recipe"]).model_dump_json(),
        "parent": content["parent"],
        "live_before": content["live"],
        "started_at": event.at,
        # As it was written: the contract of an older version lacks newer fields.
        "contract": Contract.model_validate(contract).model_dump_json(exclude_unset=True) if contract else None,
    }


def _decision(event: Event, content: Row) -> Iterator[tuple[str, Row]]:
    if content.get("live_version") is not None:
        names = ("pack", "decision_id", "at")
        yield "live", {"version": content["live_version"]} | {name: content[name] for name in names}
    judgement, action = content.get("judgement") or {}, content["action"]
    if content.get("pass_number") is None or action == "override":
        return
    row: Row = {"number": content["pass_number"], "reason": content["reason"]}
    row |= {"verdict": judgement["verdict"]} if judgement else {}
    row |= {"pack": content["pack"]} if content.get("pack") and action != "revert" else {}
    yield "pass", row | _state(_state_after(action, judgement), event.at)


def _state_after(action: str, judgement: Row) -> PassState:
    if action == "revert":
        return PassState.REVERTED
    if action == "promote":
        return PassState.LIVE
    if action == "stop":
        return PassState.REJECTED if judgement.get("verdict") == "REJECT" else PassState.HELD
    return REACHED[judgement["phase"]] if judgement else PassState.ACCEPTED


def _state(state: PassState, at: str) -> Row:
    return {"state": state.value, "ended_at": at if state.is_finished else None}


def _stage(event: Event, content: Row) -> Row:
    usage = content.get("usage")
    row: Row = {name: content.get(name) for name in ("attempt", "error", "effect_id")}
    row |= {"scope": event.subject, "name": content["stage"], "at": event.at, "seconds": content.get("seconds", 0.0)}
    return row | {"usage": Usage.model_validate(usage).model_dump_json() if usage else None}
