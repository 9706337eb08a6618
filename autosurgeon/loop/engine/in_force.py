"""What is in force on a workspace: a policy, its parameters and a seed, from its first run on.

A run that names none of them continues with those of the previous run, by the policy's content in the memory: an
edited or upgraded file changes nothing until a person names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from autosurgeon.config import Settings, shipped
from autosurgeon.core.person import PersonAct, current_person
from autosurgeon.core.records import InForce
from autosurgeon.errors import PolicyError, UserError
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.policy.difference import diff
from autosurgeon.policy.load import check_whole, load_policy
from autosurgeon.policy.params import Overrides
from autosurgeon.policy.schema import Policy
from autosurgeon.store.database import utc_now
from autosurgeon.store.sqlstore import SqlStore

SHIPPED = "shipped:"
"""The prefix of the name of a shipped policy, independent of the installation's folder."""


class Named(NamedTuple):
    """The values of a command line; None for what stays unchanged."""

    policy: Path | None = None
    params: Overrides | None = None
    seed: int | None = None


class Chosen(NamedTuple):
    """The policy, parameters and seed of a run."""

    policy: Policy
    file: str | None
    assigned: Overrides
    seed: int
    notes: tuple[str, ...] = ()
    """Differing values of settings and files, a line each."""


def read_in_force(store: SqlStore) -> InForce | None:
    """What is in force: that of the last run; for an older workspace, that of the last pass.

    None for a workspace without either, and where the last pass is of a scenario, whose rules do not bind.
    """
    run = store.last_run()
    if run is not None and run.in_force is not None:
        return run.in_force
    last = store.last_passes(1)
    inherited = store.in_force_in(last[0]) if last else None
    return inherited if inherited is not None and _kept(store, inherited.policy) is not None else None


def kept_policy(store: SqlStore, digest: str) -> Policy:
    """A policy by its digest, from the content in the memory.

    Raises:
        PolicyError: it is missing, its digest differs, this version cannot read it, or it leaves a phase without
            a binding rule, as the policy of a scenario.

    """
    content = store.policy(digest)
    if content is None:
        raise PolicyError(f"the memory does not keep policy {digest[:12]}")
    try:
        policy = Policy.model_validate_json(content)
    except ValidationError as error:
        got = error.errors()[0]["msg"]
        raise PolicyError(f"policy {digest[:12]} as it is kept cannot be read", got=got) from error
    if policy.digest != digest:
        raise PolicyError("a policy as it is kept is another one", got=policy.digest[:12], wanted=digest[:12])
    check_whole(policy, f"policy {digest[:12]} as it is kept")
    return policy


def _kept(store: SqlStore, digest: str) -> Policy | None:
    try:
        return kept_policy(store, digest)
    except PolicyError:
        return None


def choose(store: SqlStore, settings: Settings, named: Named) -> Chosen:
    """Choose the policy, parameters and seed of a run.

    Args:
        store: the memory.
        settings: used for a workspace's first run.
        named: the values of the command line, which replace those in force.

    Raises:
        PolicyError: the policy has an error.
        UserError: parameters are set on a policy whose file is unknown or no longer in force.

    """
    before = read_in_force(store)
    if before is None:
        return _loaded(named.policy or settings.policy_file, named.params or {}, _seed(named, before, settings))
    seed = _seed(named, before, settings)
    notes = _notes(store, settings, before, named)
    if named.policy is not None:
        chosen = _loaded(named.policy, named.params or {}, seed)
    elif named.params:
        chosen = _loaded(_source(settings, before), {**before.assigned, **named.params}, seed)
    else:
        chosen = Chosen(_content(store, settings, before), before.file, before.assigned, seed)
    return chosen._replace(notes=notes)


def policy_in_force(store: SqlStore, settings: Settings, params: Overrides) -> Policy:
    """The policy in force, with other values of parameters."""
    return choose(store, settings, Named(params=params)).policy


def _loaded(path: Path, params: Overrides, seed: int) -> Chosen:
    policy = load_policy(path, params)
    # The typed values of the policy, since a command line gives texts.
    assigned = {name: policy.param_values[name] for name in params}
    return Chosen(policy, name_source(path), assigned, seed)


def _seed(named: Named, before: InForce | None, settings: Settings) -> int:
    if named.seed is not None:
        return named.seed
    return settings.seed if before is None or before.seed is None else before.seed


def _content(store: SqlStore, settings: Settings, before: InForce) -> Policy:
    """The policy in force from the memory, or else from its file if the digest is the same."""
    try:
        return kept_policy(store, before.policy)
    except PolicyError as error:
        try:
            return load_policy(_source(settings, before), before.assigned)
        except UserError:
            raise PolicyError(
                "what this workspace works under cannot be read",
                got=error,
                wanted="a policy by name: `autosurgeon run --policy FILE`",
            ) from error


def _source(settings: Settings, before: InForce) -> Path:
    """The file of the policy in force; UserError where it is unknown or has another policy now."""
    path = settings.policy_file if before.file is None else find_source(before.file)
    try:
        found = load_policy(path, before.assigned).digest
    except UserError as error:
        found = str(error)
    if found != before.policy:
        raise UserError(
            "parameters are set on a policy's file, and this one is not what is in force here",
            got=found[:12] if len(found) == len(before.policy) else found,
            wanted=f"{before.policy[:12]}, or `--policy FILE` beside `--set`",
            where=path,
        )
    return path


def name_source(path: Path) -> str:
    """The recorded name of a policy's file; a shipped one without its folder, since an upgrade may move it."""
    whole = path.resolve()
    return f"{SHIPPED}{whole.name}" if whole.parent == shipped("policies").resolve() else str(whole)


def find_source(name: str) -> Path:
    """The file of a recorded name."""
    return shipped("policies", name.removeprefix(SHIPPED)) if name.startswith(SHIPPED) else Path(name)


# --- what else could be in force ------------------------------------------------------------------------------------


def _notes(store: SqlStore, settings: Settings, before: InForce, named: Named) -> tuple[str, ...]:
    """Values of settings, files and the environment that are not in force, and the flags that put them in force."""
    notes = []
    run = store.last_run()
    if run is None or run.in_force is None:
        notes.append(f"no earlier run of this workspace recorded a policy: its last pass has {before.line}")
    if before.seed is None and named.seed is None:
        notes.append(f"the seed of earlier passes is not recorded: {settings.seed} of the settings counts from now on")
    others: list[str] = []
    flags: list[str] = []
    if named.policy is None and not named.params:
        for where, path, params in _candidates(settings, before):
            if (other := _other_policy(path, params, before)) is not None:
                others.append(f"{where} {path} {other[0]}")
                flags = [*other[1]] or flags
    if named.seed is None and "seed" in settings.model_fields_set and before.seed not in (None, settings.seed):
        others.append(f"the settings give seed {settings.seed}")
        flags = [*flags, "--seed", str(settings.seed)]
    if others:
        how = f"; `autosurgeon run {shlex.join(flags)}` takes it up" if flags else ""
        notes.append(f"not in force here: {'; '.join(others)}{how}")
    return tuple(notes)


def _candidates(settings: Settings, before: InForce) -> Iterator[tuple[str, Path, Overrides]]:
    """The files of possible other policies: that of the policy in force, and that of the settings."""
    if before.file is not None:
        yield "the file", find_source(before.file), before.assigned
    named = "policy" in settings.model_fields_set and settings.policy is not None
    if (named or before.file is None) and name_source(settings.policy_file) != before.file:
        yield ("the settings' policy" if named else "the shipped policy"), settings.policy_file, {}


def _other_policy(path: Path, params: Overrides, before: InForce) -> tuple[str, list[str]] | None:
    """The policy of a file, in words, with the flags that put it in force; None where it is in force."""
    try:
        policy = load_policy(path, params)
    except UserError as error:
        return f"cannot be used ({error})", []
    if policy.digest == before.policy:
        return None
    flags = ["--policy", str(path)]
    for name, value in params.items():
        flags += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return f"gives {policy.name} {policy.digest[:12]} by now", flags


# --- what a person changes ------------------------------------------------------------------------------------------


def announce(ins: Instruments) -> None:
    """Show what is in force, a person's changes by this run, and differing values of settings and files."""
    ins.reporter.say(ins.in_force.line)
    before = read_in_force(ins.store)
    changes = [] if before is None else _changes(ins, before)
    for line in (*changes, *ins.notes):
        ins.reporter.say(f"  {line}")


def act_of_change(ins: Instruments, why: str) -> PersonAct | None:
    """The act of a person who changes what is in force by this run; None without changes."""
    before, now = read_in_force(ins.store), ins.in_force
    changes = [] if before is None else _changes(ins, before)
    if before is None or not changes:
        return None
    detail: dict[str, Any] = {"takes_up": now.line, "changes": changes}
    detail |= {"before": before.model_dump(mode="json"), "now": now.model_dump(mode="json")}
    return PersonAct(act="policy", who=current_person(), at=utc_now(), reason=why.strip(), detail=detail)


def _changes(ins: Instruments, before: InForce) -> list[str]:
    """The changes of policy, parameters and seed, a line each."""
    now = ins.in_force
    if before.judges_as(now):
        return []
    lines = [f"taken up, for passes that begin from now on; before: {before.line}"]
    if before.policy != now.policy:
        old = _kept(ins.store, before.policy)
        lines += _compare(old, ins.policy) if old else ["the content of the old policy is not kept: no comparison"]
    if before.seed is not None and before.seed != now.seed:
        lines.append(f"seed: {before.seed} -> {now.seed}")
    return lines


def _compare(old: Policy, new: Policy) -> list[str]:
    """By phase whether the new policy is tighter or looser, and the changed rules and parameters."""
    changed = [(one.phase, one.relation) for one in diff(old, new) if not one.same]
    phases = [f"{phase} {'refuses otherwise' if relation == 'same' else relation}" for phase, relation in changed]
    rules = [{rule.id: rule for rule in policy.rules} for policy in (old, new)]
    kinds = {
        "added": [name for name in rules[1] if name not in rules[0]],
        "removed": [name for name in rules[0] if name not in rules[1]],
        "changed": [name for name in rules[0] if name in rules[1] and rules[0][name] != rules[1][name]],
    }
    lines = [f"phases: {', '.join(phases) or 'every one judges as before'}"]
    lines += [f"rules {kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    values = [policy.param_values for policy in (old, new)]
    moved = [
        f"{name} {values[0].get(name, 'none')} -> {values[1].get(name, 'none')}"
        for name in sorted(values[0].keys() | values[1].keys())
        if values[0].get(name) != values[1].get(name)
    ]
    return [*lines, *([f"parameters: {', '.join(moved)}"] if moved else [])]
