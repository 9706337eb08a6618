"""`autosurgeon pack export`: a verified pack leaves the house, and what became of it is remembered."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ggufpacks import BASE
from lineage import flip_a_byte
from theatre import learns_everything, small_theatre
from typer.testing import CliRunner, Result

from autosurgeon.cli.main import app
from autosurgeon.core.pack import Lineage
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import PackError, UserError
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.run_passes import prepare_run
from autosurgeon.packs.packstore import PackStore
from autosurgeon.wiring import open_store

COPIES = (
    f"{sys.executable} -c 'import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2]); print(1)' {{weights}} {{out}}"
)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace that knows the lab's real base as a pack."""
    root = tmp_path_factory.mktemp("workspace")
    with small_theatre(root, learns_everything) as ins:
        prepare_run(ins)
        read_baseline(ins)
        manifest = ins.packs.import_checkpoint(BASE)
        assert manifest.lineage == Lineage()
        ins.store.commit_stage("test", "pack", {}, 0.0, "e", pack=(manifest, None))
    return root, manifest.digest


def export(begun: tuple[Path, str], *arguments: str, pack: str = "") -> Result:
    return CliRunner().invoke(app, ["pack", "export", pack or begun[1][:12], *arguments, "--workspace", str(begun[0])])


def exports(begun: tuple[Path, str]) -> list[dict[str, Any]]:
    shown = CliRunner().invoke(app, ["pack", "show", begun[1], "--json", "--workspace", str(begun[0])])
    told: list[dict[str, Any]] = json.loads(shown.stdout)["exports"]
    return told


def test_a_pack_becomes_a_gguf_file_and_its_digest_is_remembered(begun: tuple[Path, str], tmp_path: Path) -> None:
    gguf, out = pytest.importorskip("gguf"), tmp_path / "organ.gguf"
    before = len(exports(begun))
    done = export(begun, "--format", "gguf", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    told, sha256 = json.loads(done.stdout), hashlib.sha256(out.read_bytes()).hexdigest()
    assert (told["pack"], told["format"], told["dtype"], told["sha256"]) == (begun[1], "gguf", "bf16", sha256)
    assert gguf.GGUFReader(out).fields["autosurgeon.pack"].contents() == begun[1]
    (remembered,) = exports(begun)[before:]
    assert (remembered["sha256"], remembered["out"], remembered["error"]) == (sha256, str(out), None)


def test_a_packers_file_exit_code_and_last_words_are_remembered(begun: tuple[Path, str], tmp_path: Path) -> None:
    out, before = tmp_path / "organ.planck", len(exports(begun))
    done = export(begun, "--command", COPIES, "--out", str(out))
    weights = PackStore(Workspace(begun[0]).packs).path(begun[1]) / "model.safetensors"
    assert out.read_bytes() == weights.read_bytes()
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert done.stdout == f"{out}: {weights.stat().st_size} bytes, sha256 {sha256}\n"
    failed = export(begun, "--command", f"{sys.executable} -c 'raise SystemExit(\"no\")' {{out}}", "--out", str(out))
    assert isinstance(failed.exception, UserError)
    assert "the packer wrote no file; got ended with exit code 1: no" in str(failed.exception)
    assert out.read_bytes() == weights.read_bytes()
    made, not_made = exports(begun)[before:]
    assert (made["exit_code"], made["output"], made["sha256"]) == (0, "1\n", sha256)
    assert (not_made["exit_code"], not_made["output"], not_made["sha256"]) == (1, "no\n", None)
    shown = CliRunner().invoke(app, ["pack", "show", begun[1], "--workspace", str(begun[0])]).stdout
    assert "exit code 1: no" in shown
    with open_store(begun[0]) as store:
        assert [event.kind for event in store.each_event()].count("pack-exported") >= 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "an export needs a format or a command"),
        (("--format", "gguf", "--command", COPIES), "an export needs a format or a command"),
        (("--command", "planck {weights}"), "{out} among its arguments"),
    ],
)
def test_an_export_that_says_no_way_or_two_is_refused(
    begun: tuple[Path, str], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = export(begun, *arguments, "--out", str(tmp_path / "organ"))
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_file_goes_only_into_a_folder_that_is_there(begun: tuple[Path, str], tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "none" / "organ.gguf"):
        done = export(begun, "--format", "gguf", "--out", str(out))
        assert isinstance(done.exception, UserError)
        assert "cannot be written there" in str(done.exception)


def test_a_damaged_pack_is_not_exported(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        prepare_run(ins)
        read_baseline(ins)
        base = ins.store.live_history()[0].pack
        flip_a_byte(ins, base)
    done = export((tmp_path, base), "--command", COPIES, "--out", str(tmp_path / "organ.planck"))
    assert isinstance(done.exception, PackError)
    assert not (tmp_path / "organ.planck").exists()
