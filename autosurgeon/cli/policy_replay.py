"""`autosurgeon policy replay` and `policy simulate`: past decisions under another policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import JsonOption, SetOption
from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.audit.recorded import LeftOut
    from autosurgeon.audit.replay import Replayed, Summary
    from autosurgeon.audit.simulate_threshold import Tally

PathArgument = Annotated[
    Path,
    typer.Argument(
        envvar="AUTOSURGEON_WORKSPACE", help="A workspace, its decision log, or a folder of evidence such as data/bd62."
    ),
]
PolicyOption = Annotated[Path | None, typer.Option("--policy", help="Policy file; the workspace's policy when empty.")]
SinceOption = Annotated[str, typer.Option("--since", help="Only decisions at or after this time, such as 2026-05-01.")]


def replay_decisions(
    path: PathArgument = Path("."),
    policy: PolicyOption = None,
    params: SetOption = None,
    since: SinceOption = "",
    as_json: JsonOption = False,
) -> None:
    """Judge past decisions again from their recorded facts; exit code 0 without flips, 15 with flips.

    --json prints a line of JSON for each decision and a last one with the summary.
    """
    from autosurgeon.audit.recorded import LeftOut, recorded
    from autosurgeon.audit.replay import Replayer, Summary
    from autosurgeon.cli.render import json_text
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.wiring import policy_at

    replayer = Replayer(policy_at(path, policy, parse_assignments(params or ())))
    left_out = LeftOut()
    summary, refused = Summary(), dict[str, list[str]]()
    for one in recorded(path, since=since, skip=left_out.add):
        replayed = replayer.replay(one)
        summary = summary.after(replayed)
        if (
            replayed.before is None and replayed.refuses and replayed.phase
        ):  # evidence without decisions gets a line per pass
            phases = refused.setdefault(one.name.partition(" #")[0], [])
            phases += [replayed.phase] if replayed.phase not in phases else []
        print(json_text(_plain(replayed), indent=None) if as_json else _replayed_lines(replayed))
    if as_json:
        summed = {"policy": replayer.policy.name, "digest": replayer.policy.digest, **summary._asdict()}
        print(json_text(summed, indent=None))
    else:
        for name, phases in refused.items():
            print(f"{name}: refused at {', '.join(phases)}")
        print(_sum(summary, replayer.policy.name))
    _report_left_out(left_out, path)
    raise typer.Exit(ExitCode.FINDING if summary.flips else ExitCode.DONE)


def _plain(replayed: Replayed) -> dict[str, object]:
    return replayed.model_dump(mode="json") | {"outcome": replayed.outcome}


def _replayed_lines(replayed: Replayed) -> str:
    """Format a decision and its explanation as lines."""
    from autosurgeon.cli.render import one_line

    verdict = replayed.outcome
    if replayed.before is not None:
        verdict = f"{replayed.before.value} -> {verdict}{', FLIPPED' if replayed.flipped else ''}"
    lines = [f"{replayed.name}{f' {replayed.phase}' if replayed.before is None and replayed.phase else ''}: {verdict}"]
    if replayed.note:
        lines.append(f"    {replayed.note}")
    if replayed.rule:
        lines += [f"    {replayed.rule}: {replayed.reason}", f"    lesson: {replayed.lesson}"]
    if replayed.also:
        lines.append(f"    also: {', '.join(replayed.also)}")
    if replayed.unrecorded and replayed.after is None:
        lines += [f"    cannot be replayed: {', '.join(replayed.silent) or 'unknown facts'}"]
        lines += [f"    not recorded or unknown: {', '.join(replayed.unrecorded)}"]
    return "\n".join(map(one_line, lines))


def _sum(summary: Summary, policy: str) -> str:
    line = f"{summary.decisions} decisions under {policy}, {summary.flips} flips"
    line += f", {summary.unreplayable} cannot be replayed"
    return f"{line}, {summary.unjudged} without a judgement" if summary.unjudged else line


def _report_left_out(left_out: LeftOut, path: Path) -> None:
    """Report skipped lines; an incomplete last line is not an error, since the store has that decision."""
    from autosurgeon.errors import UserError

    if left_out.is_torn:
        typer.echo("note: the log's last line is incomplete and was skipped; the next run writes it again", err=True)
    if left_out.first is not None:
        got = f"{left_out.count}, the first on line {left_out.first.line}: {left_out.first.why}"
        raise UserError("lines of the decision log were skipped", got=got, wanted="one decision per line", where=path)


def simulate_threshold(
    path: PathArgument = Path("."),
    policy: PolicyOption = None,
    rule: Annotated[str | None, typer.Option("--rule", help="The rule whose bound changes.")] = None,
    param: Annotated[str | None, typer.Option("--param", help="Or the parameter that changes.")] = None,
    values: Annotated[
        str, typer.Option("--range", metavar="LOW:HIGH[:STEPS]", help="The values, such as 0:10:11.")
    ] = "",
    params: SetOption = None,
    since: SinceOption = "",
    png: Annotated[Path | None, typer.Option("--png", help="Plot the counts into this PNG file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how past decisions change if one threshold moves over a range."""
    from autosurgeon.audit.recorded import LeftOut, recorded
    from autosurgeon.audit.simulate_threshold import parse_range, simulate, with_bound
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.errors import UserError
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.wiring import policy_at

    if (rule is None) == (param is None):
        raise UserError(
            "exactly one threshold changes", got=f"--rule {rule}, --param {param}", wanted="one of --rule and --param"
        )
    steps, given = parse_range(values), parse_assignments(params or ())
    usual = policy_at(path, policy, given)
    if param is not None:
        variants = [(value, policy_at(path, policy, {**given, param: value})) for value in steps]
    else:
        variants = [(value, with_bound(usual, rule or "", value)) for value in steps]
    left_out = LeftOut()
    tallies = simulate(variants, recorded(path, since=since, skip=left_out.add))
    moved = param or rule or ""
    if png is not None:
        from autosurgeon.cli.plot import draw_tallies

        draw_tallies(png, f"{moved} of policy {usual.name}", tallies)
    if as_json:
        print_json({"policy": usual.name, "moved": moved, "values": [tally._asdict() for tally in tallies]})
    else:
        print_table(f"policy {usual.name}, {moved}", ("value", *COLUMNS), [_row(tally) for tally in tallies])
    _report_left_out(left_out, path)


COLUMNS = ("accept", "hold", "reject", "cannot be replayed", "stop", "flips")


def _row(tally: Tally) -> tuple[object, ...]:
    return f"{tally.value:.6g}", tally.accept, tally.hold, tally.reject, tally.unreplayable, tally.stop, tally.flips
