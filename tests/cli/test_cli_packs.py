"""`autosurgeon pack`: what is kept and what is gone, as people and programs see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lineage import base_of, flip_a_byte, make_live, make_pack
from theatre import learns_everything, small_theatre
from typer.testing import CliRunner, Result

from autosurgeon.cli.main import app
from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.errors import ExitCode, UserError, WorkspaceError
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.run_passes import prepare_run
from autosurgeon.store.lock import workspace_lock


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and three packs that were made live after it."""
    root = tmp_path_factory.mktemp("workspace")
    with small_theatre(root, learns_everything) as ins:
        prepare_run(ins)
        read_baseline(ins)
        for generation in (1, 2, 3):
            make_live(ins, make_pack(ins, generation))
    (root / "autosurgeon.toml").write_text("[retention]\nkeep_live = 1\n")
    return root


def pack(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["pack", *arguments, "--workspace", str(root)])


def listed(root: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(pack(root, "list", "--json").stdout)
    return rows


def test_packs_are_pinned_removed_and_listed_as_kept_or_gone(begun: Path) -> None:
    base, one, two, live = (row["digest"] for row in listed(begun))
    assert all(row["weights"] == "kept" and row["pinned"] is None for row in listed(begun))
    dry = json.loads(pack(begun, "gc", "--dry-run", "--json").stdout)
    assert dry["dry_run"] is True
    assert [row["pack"] for row in dry["packs"]] == [one]
    assert dry["bytes"] == dry["packs"][0]["bytes"] > 0

    assert pack(begun, "pin", one[:12], "--reason", "for a look").stdout == f"{one[:12]} is pinned\n"
    assert pack(begun, "gc").stdout == "0 packs, 0 bytes removed\n"
    assert [row["pinned"] for row in listed(begun)] == [None, "for a look", None, None]
    assert "pinned by" in pack(begun, "show", one[:12]).stdout
    assert pack(begun, "unpin", one[:12]).exit_code == 0

    assert pack(begun, "gc").stdout.splitlines() == [
        f"{one[:12]}: {dry['bytes']} bytes removed",
        f"1 pack, {dry['bytes']} bytes removed",
    ]
    assert [row["weights"] for row in listed(begun)] == ["kept", "gone", "kept", "kept"]
    assert "weights: gone" in pack(begun, "show", one[:12]).stdout
    assert json.loads(pack(begun, "show", one[:12], "--json").stdout)["weights"] == "gone"
    assert pack(begun, "verify").stdout.splitlines() == [
        *(f"{base[:12]} is whole", f"{one[:12]} is gone", f"{two[:12]} is whole", f"{live[:12]} is whole")
    ]
    damaged = pack(begun, "verify", one[:12])
    assert (damaged.exit_code, damaged.stdout.startswith(f"{one[:12]} is damaged: ")) == (ExitCode.FINDING, True)
    assert isinstance(pack(begun, "pin", one[:12], "--reason", "too late").exception, UserError)


def test_adapters_of_passes_that_are_over_are_told_with_the_packs(begun: Path) -> None:
    adapter = begun / "data" / "passes" / "pass-0007" / "train" / "adapter" / ADAPTER_FILE
    adapter.parent.mkdir(parents=True)
    adapter.write_bytes(bytes(100))
    told = json.loads(pack(begun, "gc", "--dry-run", "--json").stdout)
    assert told["pass_adapters"] == [{"pass": "pass-0007", "bytes": 100}]
    assert pack(begun, "gc").stdout.splitlines()[-2] == "adapters of 1 pass: 100 bytes removed"
    assert not adapter.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("unpin",), "not pinned"),
        (("pin", "--reason", " "), "a pin needs a reason"),
    ],
)
def test_a_pin_that_says_nothing_is_refused(begun: Path, arguments: tuple[str, ...], said: str) -> None:
    done = pack(begun, arguments[0], listed(begun)[0]["digest"], *arguments[1:])
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)


def test_nothing_is_removed_while_a_loop_holds_the_workspace(begun: Path) -> None:
    with workspace_lock(begun / "data" / "lock"):
        done = pack(begun, "gc")
    assert isinstance(done.exception, WorkspaceError)


def test_weights_that_must_be_there_and_are_not_are_damage(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        prepare_run(ins)
        read_baseline(ins)
        live = make_live(ins, make_pack(ins, 1))
        flip_a_byte(ins, base_of(ins))
        assert pack(tmp_path, "verify").exit_code == ExitCode.FINDING
        ins.packs.remove_weights(live)
        done = pack(tmp_path, "verify", live[:12])
    assert (done.exit_code, "weights are gone" in done.stdout) == (ExitCode.FINDING, True)
