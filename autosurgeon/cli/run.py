"""`autosurgeon run`: the loop, or the incident's scenario."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosurgeon.cli.options import ConfigOption, SetOption, WorkspaceOption
from autosurgeon.cli.packages import check_packages
from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.core.ports import Reporter
    from autosurgeon.loop.engine.instruments import Instruments
    from autosurgeon.loop.engine.limits import Limits

ENDINGS = {
    "passes": "the requested passes are done",
    "hours": "the requested hours are over",
    "gpu_hours": "the requested hours of capsules (`--gpu-hours`, setting loop.gpu_hours) are used up",
    "disk": "the workspace exceeds its share of the disk (loop.disk_gib), and nothing more can be removed",
    "without_gain": "too many passes in a row were not confirmed (`--without-gain`, loop.passes_without_gain)",
    "plateau": "a plateau: too many passes without a promotion or a higher climb on dev (loop.plateau_passes)",
    "stopped": "stopped; `autosurgeon run` with the same workspace continues from here",
    "gate": "the gate failed its self-test and is closed; see the last decision, and `autosurgeon policy test`",
    "evaluation": "a rule could not be evaluated; see the last decision of `audit log`, and `autosurgeon doctor`",
    "failures": "too many passes in a row failed or lacked evidence; see `autosurgeon pass list`",
    "hopeless": "hopeless: no pass can be accepted",
    "stuck": "too many passes in a row were ended by one rule for one cause (loop.stuck_passes, loop.on_stuck)",
}
"""The message for each reason of a run's end."""
STOPPING = "stopping after this stage; repeat to stop now"
BRAKES = ("failures", "hopeless", "stuck", "gate", "evaluation")
"""The reasons that need a person's attention before the next run."""
DETAILED = ("hopeless", "stuck", "stopped")
"""The reasons that are shown with their detail."""

CAUSES = {signal.SIGINT: "interrupted (SIGINT)", signal.SIGTERM: "terminated (SIGTERM)"}
"""The signals that end a run after the running stage, and the causes that `status` shows."""
HUNG_UP = "the terminal was closed (SIGHUP)"


def run(
    passes: Annotated[
        int | None, typer.Option("--passes", "-n", min=1, help="End after this number of passes.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", min=0, help="Start no pass after this number of hours.")
    ] = None,
    gpu_hours: Annotated[
        float | None,
        typer.Option("--gpu-hours", min=0, help="Start no pass after this number of hours in capsules."),
    ] = None,
    without_gain: Annotated[
        int | None,
        typer.Option(
            "--without-gain", min=1, help="End after this number of consecutive passes without a confirmation."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=2**53 - 1, help="Seed; the workspace's seed when empty, in a new one setting `seed`."
        ),
    ] = None,
    workspace: WorkspaceOption = Path("."),
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="Policy file; the workspace's policy when empty, in a new one bd62.yaml."),
    ] = None,
    params: SetOption = None,
    supersede: Annotated[
        bool, typer.Option("--supersede", help="Abandon the open pass instead of finishing it.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Reason for another policy or an abandoned pass; recorded.")
    ] = "",
    config: ConfigOption = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="`bd62`: replay the incident by real training.")
    ] = None,
) -> None:
    """Run the loop unattended: propose, train, bench, judge, promote or refuse; repeat until a budget ends it.

    Ctrl-C ends it after the running stage, as `stop` from another terminal does; a second one ends it now. The next
    `run` continues from there. Policy, parameters and seed of the last run stay in force until others are named; a
    change is shown and recorded, and applies to passes that start later. On a full disk the run waits. Exit code 5: too
    many failures, a standstill, or a closed gate.
    """
    check_packages()
    from autosurgeon.cli.logs import logging_to
    from autosurgeon.cli.view import reporting
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.loop.engine.in_force import Named
    from autosurgeon.loop.engine.limits import Limits, StoppedError
    from autosurgeon.loop.engine.watchdog import Watchdog, WatchedReporter
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.wiring import open_loop, settings_of

    if scenario not in (None, "bd62"):
        raise UserError("there is no such scenario", got=repr(scenario), wanted="bd62")
    if scenario is not None and supersede:
        raise UserError("a scenario starts without passes and abandons none", wanted="--scenario without --supersede")
    settings = settings_of(workspace, config)
    brakes = Limits(passes=passes, hours=hours, gpu_hours=gpu_hours, without_gain=without_gain)
    log, watchdog = Workspace(workspace.resolve()).operations, Watchdog.taken_from(os.environ)
    named = Named(policy, parse_assignments(params) if params else None, seed)
    with (
        _outliving_its_terminal(brakes),
        reporting(brakes.request_stop, workspace) as shown,
        open_loop(
            workspace, settings, reporter := WatchedReporter(shown, watchdog), brakes, named, watchdog.beat
        ) as ins,
        logging_to(log),
        _interruptible(brakes, reporter),
        watchdog.at_work(),
    ):
        if scenario is None:
            _loop(ins, supersede=supersede, why=reason)
        else:
            try:
                _replay(ins)
            except StoppedError:
                reporter.say("stopped; start the scenario again in a new workspace")


def _loop(ins: Instruments, *, supersede: bool = False, why: str = "") -> None:
    from autosurgeon.loop.run_passes import run as run_loop

    reason, last = run_loop(ins, supersede=supersede, why=why), ins.store.last_run()
    detail = f": {last.end_detail}" if last is not None and last.end_detail and reason in DETAILED else ""
    ins.reporter.say(f"end: {ENDINGS[reason]}{detail}")
    ins.reporter.say(ins.in_force.line)
    for line in _summary(ins):
        ins.reporter.say(line)
    if reason in BRAKES:
        raise typer.Exit(ExitCode.BRAKED)


def _summary(ins: Instruments) -> list[str]:
    from autosurgeon.loop.search.plateau import plateau_line, read_plateau
    from autosurgeon.loop.stuck import describe_stuck
    from autosurgeon.workspace_status import read_status

    status: dict[str, Any] = read_status(ins.store)
    live, wins = status["live"], status["wins"]
    states = ", ".join(f"{count} {state}" for state, count in status["passes"]["states"].items())
    lines = [f"live: version {live['version']}, pack {live['pack'][:12]}; passes: {states}"] if live else []
    for bench, splits in wins["live"].items():
        if bench in status["excluded"]:
            lines.append(f"{bench}: excluded: {status['excluded'][bench]}")
            continue
        base = wins["base"][bench]["all"]["wins"]
        lines.append(f"{bench}: {base} -> {splits['all']['wins']} of {splits['all']['tasks']} won")
    stuck, loop = describe_stuck(ins.store, ins.settings.loop), ins.settings.loop
    standstills = (stuck["line"] if stuck else None, plateau_line(read_plateau(ins.store, loop)))
    return [*lines, *(line for line in standstills if line)]


def _replay(ins: Instruments) -> None:
    from autosurgeon.audit.delta import render_delta
    from autosurgeon.incident.scenario import run_bd62

    ins.reporter.say(f"{ins.in_force.line}; its rules are not enforced")
    delta = run_bd62(ins)
    ins.workspace.reports.mkdir(parents=True, exist_ok=True)
    report = ins.workspace.reports / "BD6_2_DELTA.md"
    report.write_text(render_delta(delta), encoding="utf-8")
    first, second = delta.first, delta.second
    for bench in delta.counted:
        ins.reporter.say(
            f"{bench}: base {delta.base_wins[bench]}, pass 1 {first.wins[bench]}, pass 2 {second.wins[bench]}"
        )
    shown = ", ".join(second.lost[:8]) + (f" and {len(second.lost) - 8} more" if len(second.lost) > 8 else "")
    ins.reporter.say(f"pass 2 lost {len(second.lost)} wins of pass 1 ({shown}) and gained {len(second.gained)}")
    if refusal := delta.refusal:
        ins.reporter.say(
            f"the policy would have refused it at phase {refusal.phase} by rule {refusal.rule.rule_id}, after "
            f"{refusal.spent_s:.1f} of {sum(second.seconds.values()):.1f} s: {refusal.rule.lesson}"
        )
    ins.reporter.say(f"live is version {delta.live_version}, pack {delta.live_pack[:12]}; report: {report}")


@contextlib.contextmanager
def _outliving_its_terminal(brakes: Limits) -> Iterator[None]:
    """End after the running stage at any number of SIGHUPs: the kernel and the shell both send one.

    A SIGHUP that is ignored at the start, as under nohup, stays ignored.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda *_: brakes.request_stop(HUNG_UP))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _say_when_free(reporter: Reporter) -> None:
    """Print the line after the interrupted write; a stream without a reader ends the run on its own."""
    with contextlib.suppress(OSError):
        reporter.say(STOPPING)


@contextlib.contextmanager
def _interruptible(brakes: Limits, reporter: Reporter) -> Iterator[None]:
    """End after the running stage at the first interrupt, and now at the second one."""
    from autosurgeon.core.person import Person

    interrupts = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            raise KeyboardInterrupt
        brakes.request_stop(CAUSES[signal.Signals(number)], Person())  # a signal does not name its sender
        try:
            reporter.say(STOPPING)
        except RuntimeError:
            # The signal interrupts a write to the same stream, which is not reentrant.
            threading.Thread(target=_say_when_free, args=(reporter,), name="autosurgeon-stopping").start()

    before = {number: signal.signal(number, on_signal) for number in CAUSES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
