"""Checks of the settings: `doctor` uses every path, program, command and address that they name.

`TRIED` maps each such setting to its checks; a test compares it with the marks in the settings' types (`places.py`).
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autosurgeon.cli.checks import Check
from autosurgeon.cli.doctor_places import check_program, check_sendable, check_writable, regular_file
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import PackError, UserError, WorkspaceError

if TYPE_CHECKING:
    from autosurgeon.config import Settings

READ_S = 300.0
"""Deadline for files of tasks, which may be large."""
ASK_S = 15.0
"""Deadline for requests over a network."""


class _Subject(NamedTuple):
    """The workspace and settings to check."""

    root: Path
    """The workspace's folder."""
    settings: Settings


def check_settings(root: Path, settings: Settings) -> Iterator[Check]:
    """Yield the checks of everything that these settings name."""
    for trial in dict.fromkeys(TRIED.values()):
        yield from trial(_Subject(root, settings))


def _policy(subject: _Subject) -> Iterator[Check]:
    def look() -> str:
        from autosurgeon.policy.findings import find
        from autosurgeon.policy.gate_selftest import self_test
        from autosurgeon.policy.load import load_policy
        from autosurgeon.policy.rehearsal import rehearse

        file = regular_file(subject.settings.policy_file, "policy")
        policy = load_policy(file)
        clauses, failed = rehearse(policy), self_test(policy, {})
        if failed:
            raise UserError("the gate fails its self-test", got="; ".join(failed), where=file)
        doubtful = [finding.message for finding in find(policy) if finding.kind == "unproven"]
        evaluated = f"{len(policy.rules)} rules, {clauses} evaluated CEL conditions"
        return "; ".join([f"{policy.name}, {evaluated}; the gate passes its self-test", *doubtful])

    yield Check("policy", look)
    if subject.settings.store.url is not None or Workspace(subject.root.resolve()).database.is_file():
        yield Check("in force", functools.partial(_check_in_force, subject.root))


def _check_in_force(root: Path) -> str:
    """Check the policy of the next run, from its content in the memory."""
    from autosurgeon.loop.engine.in_force import kept_policy, read_in_force
    from autosurgeon.policy.gate_selftest import self_test
    from autosurgeon.policy.rehearsal import rehearse
    from autosurgeon.wiring import open_store

    with open_store(root) as store:
        in_force = read_in_force(store)
        if in_force is None:
            return "nothing yet: the first run uses the policy and seed of the settings"
        policy = kept_policy(store, in_force.policy)
    rehearse(policy)
    if failed := self_test(policy, {}):
        raise UserError("the gate fails its self-test", got="; ".join(failed), wanted="`autosurgeon run --policy FILE`")
    return in_force.line


def _organ(subject: _Subject) -> Iterator[Check]:
    def look() -> str:
        from autosurgeon.loop.stages.open_checkpoint import open_checkpoint
        from autosurgeon.packs.chat_template import with_prompt
        from autosurgeon.packs.checkpoint import check_base
        from autosurgeon.packs.hub import ask_hub
        from autosurgeon.wiring import open_capsules

        organ, folder = subject.settings.organ, _organ_folder(subject)
        if folder is None:
            assert organ.hub is not None and organ.revision is not None  # a folder needs no download
            files = ask_hub(organ.hub, organ.revision)
            return f"not in the hub's cache; the hub has its {len(files)} files, which `run` downloads first"
        weights = check_base(folder)
        with_prompt(organ, folder)
        with tempfile.TemporaryDirectory() as home, open_capsules(subject.settings, Path(home)) as capsules:
            opened = open_checkpoint(capsules, folder)
        size = sum(file.stat().st_size for file in weights)
        return f"{opened.architecture}, {size / 1e6:.1f} MB of weights in {folder}"

    yield Check("organ", look, READ_S)


def _organ_folder(subject: _Subject) -> Path | None:
    """Find the organ's folder; None for a hub's checkpoint that is not in the cache yet."""
    from autosurgeon.packs.hub import cached_checkpoint

    organ = subject.settings.organ
    if organ.hub is not None and organ.revision is not None:
        return cached_checkpoint(organ.hub, organ.revision)
    return subject.settings.organ_folder


def _benches(subject: _Subject) -> Iterator[Check]:
    for name, bench in subject.settings.benches.items():

        def check_tasks(name: str = name) -> str:
            from autosurgeon.bench.formats.read import read_bench

            bench = subject.settings.benches[name]
            file = regular_file(bench.tasks, f"benches.{name}.tasks")
            tasks = read_bench(file, bench.format, name, first=bench.first, count=bench.count)
            return f"{len(tasks)} tasks in {file}"

        def check_quarantine(name: str = name, file: Path | None = bench.quarantine) -> str:
            from autosurgeon.bench.quarantine import read_quarantine

            assert file is not None  # checked below
            quarantined = read_quarantine(regular_file(file, f"benches.{name}.quarantine"))
            return f"{len(quarantined)} tasks in quarantine in {file}"

        yield Check(f"benches.{name}.tasks", check_tasks, READ_S)
        if bench.quarantine is not None:
            yield Check(f"benches.{name}.quarantine", check_quarantine)

    def look() -> str:
        from collections import Counter

        from autosurgeon.wiring import tasks_in

        for name, bench in subject.settings.benches.items():
            for file in filter(None, (bench.tasks, bench.quarantine)):
                regular_file(file, f"benches.{name}")
        sizes = Counter(task.bench for task in tasks_in(subject.root, subject.settings).values())
        return ", ".join(f"{bench}: {count} tasks" for bench, count in sizes.items())

    yield Check("benches", look, READ_S)


def _warm_start(subject: _Subject) -> Iterator[Check]:
    for folder in subject.settings.search.warm_start:

        def look(folder: Path = folder) -> str:
            from autosurgeon.core.workspace import Workspace
            from autosurgeon.loop.search.warm_start import read_elsewhere
            from autosurgeon.packs.checkpoint import check_base

            organ, workspace = _organ_folder(subject), Workspace(subject.root.resolve())
            if organ is None:
                return "not checked: `run` has to download the organ first, to compare it"
            try:
                check_base(organ)
            except PackError as error:
                raise UserError(
                    "not checked, since there is no valid organ to compare with", wanted="see `organ`"
                ) from error
            passes = read_elsewhere(workspace, folder, organ, subject.settings.search)
            return f"{len(passes)} passes of the same organ"

        yield Check(f"search.warm_start {folder}", look, READ_S)


def _capsule(subject: _Subject) -> Iterator[Check]:
    from autosurgeon.cli.doctor_capsule import IMPORT_S, START_S, Interpreter

    interpreter = Interpreter(subject.settings.capsule.python)
    yield Check("capsule stack", interpreter.stack, START_S + 10)
    yield Check("device", interpreter.device, START_S + IMPORT_S + 20)


def _notify(subject: _Subject) -> Iterator[Check]:
    notify = subject.settings.notify
    if notify.command:
        yield Check("notify.command", lambda: check_program(notify.command, "notify.command"))
    if notify.webhook is not None:
        webhook = notify.webhook

        def look() -> str:
            from autosurgeon.loop.engine.delivery import check_webhook

            try:
                return f"{check_webhook(webhook)}; `autosurgeon notify test` posts a test"
            except OSError as error:
                # Without the error's text, which may contain the address.
                raise UserError(
                    "the webhook's host cannot be reached", got=error.strerror or type(error).__name__
                ) from error

        yield Check("notify.webhook", look, ASK_S)


def _deploy(subject: _Subject) -> Iterator[Check]:
    deploy = subject.settings.deploy
    for name, command in {"deploy.promote": deploy.promote, "deploy.revert": deploy.revert}.items():
        if command:
            yield Check(name, functools.partial(check_program, command, name, subject.root))
    if deploy.url is not None:
        url = deploy.url
        yield Check("deploy.url", lambda: _runtime(subject, url), ASK_S)


def _runtime(subject: _Subject, url: str) -> str:
    """Check that the runtime answers, if anything was deployed to it."""
    from autosurgeon.core.ports import no_beat
    from autosurgeon.loop.deploy.runtime_answer import ask_once
    from autosurgeon.serving.link import address_of

    pack = _served_pack(subject)
    problem = ask_once(address_of(url), pack or "none", no_beat)
    if pack is None:
        lists = problem is None or "lists" in problem
        return "it answers" if lists else f"nothing is deployed yet, and the runtime does not answer: {problem}"
    if problem is not None:
        raise UserError("the runtime does not serve the deployed pack", got=problem, wanted=pack[:12])
    return f"it serves pack {pack[:12]}"


def _served_pack(subject: _Subject) -> str | None:
    """Find the last successfully deployed pack; None without one."""
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.sqlstore import SqlStore

    where = subject.settings.store.url or Workspace(subject.root.resolve()).database
    try:
        store = SqlStore(where, look_only=True)
    except WorkspaceError:  # no memory yet, or a fault that the check `store` reports
        return None
    try:
        last = store.last_deployment()
    finally:
        store.close()
    return last[0].pack if last is not None and last[0].serves(last[0].pack) else None


def _store(subject: _Subject) -> Iterator[Check]:
    def look() -> str:
        from autosurgeon.core.workspace import Workspace
        from autosurgeon.loop.memory.traces import read_traces, refuse_missing
        from autosurgeon.store.probe import probe_database

        workspace = Workspace(subject.root.resolve())
        where = subject.settings.store.url or workspace.database
        found = probe_database(where)
        refuse_missing(workspace, read_traces(workspace), where)
        return found

    yield Check("store", look)


def _checkpoint_copy(subject: _Subject) -> Iterator[Check]:
    folder = subject.settings.audit.checkpoint_copy
    if folder is not None:
        yield Check("audit.checkpoint_copy", lambda: check_writable(folder, "audit.checkpoint_copy"))


def _fallback(subject: _Subject) -> Iterator[Check]:
    fallback = subject.settings.fallback
    if fallback.model is not None:
        model = fallback.model

        def check_model() -> str:
            from autosurgeon.packs.checkpoint import check_checkpoint

            check_checkpoint(model)
            return f"a checkpoint in {model}"

        yield Check("fallback.model", check_model)
    if fallback.url is not None:
        url = fallback.url

        def check_server() -> str:
            from autosurgeon.serving.completions import Server, choose_model
            from autosurgeon.serving.link import address_of

            check_sendable(fallback.api_key, "fallback.api_key")
            patience = {"retries": 0, "request_s": min(10.0, subject.settings.serving.request_s)}
            server = Server(address_of(url), subject.settings.serving.model_copy(update=patience), fallback.api_key)
            return f"it serves {choose_model(server, fallback.served)}"

        yield Check("fallback.url", check_server, ASK_S)


def _serving(subject: _Subject) -> Iterator[Check]:
    serving = subject.settings.serving
    if not serving.extra_body and serving.api_key is None:
        return

    def look() -> str:
        from autosurgeon.serving.completions import check_extra_body

        check_extra_body(serving)
        check_sendable(serving.api_key, "serving.api_key")
        return f"{len(serving.extra_body)} additional fields in each request"

    yield Check("serving", look)


TRIED: Mapping[str, Callable[[_Subject], Iterator[Check]]] = {
    "policy": _policy,
    "organ.model": _organ,
    "organ.hub": _organ,
    "benches.*.tasks": _benches,
    "benches.*.quarantine": _benches,
    "search.warm_start": _warm_start,
    "capsule.python": _capsule,
    "notify.command": _notify,
    "notify.webhook": _notify,
    "deploy.promote": _deploy,
    "deploy.revert": _deploy,
    "deploy.url": _deploy,
    "store.url": _store,
    "audit.checkpoint_copy": _checkpoint_copy,
    "serving.extra_body": _serving,
    "serving.api_key": _serving,
    "fallback.model": _fallback,
    "fallback.url": _fallback,
}
"""The checks of each setting that names something outside the settings."""
