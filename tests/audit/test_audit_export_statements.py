"""Exported statements of a pack verify by the README's commands, and altered ones do not."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lineage import base_of, make_pack
from theatre import first_half, learns_everything, small_theatre

from autosurgeon import __version__
from autosurgeon.audit.export_statements import Exported, export
from autosurgeon.audit.intoto import LEFT_OUT, PROVENANCE, TEST_RESULT, VERIFICATION
from autosurgeon.audit.mask import Masking, masking_of
from autosurgeon.audit.signing import PUBLIC
from autosurgeon.core.decision import Verdict
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person
from autosurgeon.errors import UserError
from autosurgeon.loop.decide.overrides import override
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.keys import rotate_key
from autosurgeon.loop.run_passes import run

README = (Path(__file__).resolve().parents[2] / "docs" / "decisions.md").read_text(encoding="utf-8")


def learns_nothing(generation: int, task_id: str) -> bool:
    """Whatever was trained solves what the base does."""
    return first_half(task_id)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instruments]:
    """A workspace whose one pass was confirmed."""
    with small_theatre(tmp_path_factory.mktemp("w"), learns_everything) as ins:
        run(ins)
        yield ins


def exported(ins: Instruments, folder: Path, masking: Masking | None = None) -> dict[str, Exported]:
    exports = export(ins.workspace, ins.store, folder, masking or Masking())
    return {one.pack: one for one in exports}


def statements(folder: Path, pack: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (folder / f"{pack}.intoto.jsonl").read_text().splitlines():
        statement = json.loads(base64.b64decode(json.loads(line)["payload"]))
        found.setdefault(statement["predicateType"], []).append(statement)
    return found


def verify(folder: Path, pack: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The README's lines in an interpreter of their own, which finds securesystemslib and not this package."""
    [script] = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "securesystemslib" in code]
    (tmp_path / "verify.py").write_text(script)
    library = tmp_path / "library"
    library.mkdir(exist_ok=True)
    for name in ("securesystemslib", "cryptography", "cffi", "_cffi_backend", "typing_extensions"):
        for found in (path for folder in sys.path for path in Path(folder or ".").glob(f"{name}*")):
            if found.suffix != ".pth" and not (library / found.name).exists():
                (library / found.name).symlink_to(found)
    preface = (
        f"import runpy, sys\nsys.path.append({str(library)!r})\n"
        "try:\n    import autosurgeon\n    sys.exit('autosurgeon can be imported')\nexcept ImportError:\n    pass\n"
        f"sys.argv = ['verify.py', {str(folder)!r}, {str(pack)!r}]\n"
        f"runpy.run_path({str(tmp_path / 'verify.py')!r}, run_name='__main__')\n"
    )
    command = [sys.executable, "-I", "-S", "-c", preface]
    return subprocess.run(
        command, capture_output=True, text=True, cwd="/", timeout=120, env={"PATH": os.environ["PATH"]}
    )


def test_a_stranger_verifies_the_export_with_the_readmes_lines(promoted: Instruments, tmp_path: Path) -> None:
    exports = exported(promoted, tmp_path / "out")
    assert len(exports) == 2
    for pack, one in exports.items():
        done = verify(tmp_path / "out", promoted.packs.path(pack), tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [f"verified: {kind}" for kind in one.statements]


def test_a_lie_about_a_pack_does_not_verify(promoted: Instruments, tmp_path: Path) -> None:
    exported(promoted, tmp_path / "out")
    pack = base_of(promoted)
    whole = (tmp_path / "out" / f"{pack}.intoto.jsonl").read_bytes()

    def refusal() -> str:
        done = verify(tmp_path / "out", promoted.packs.path(pack), tmp_path)
        assert done.returncode != 0
        return done.stderr.splitlines()[-1]

    first, *rest = whole.splitlines(keepends=True)
    envelope = json.loads(first)
    payload = base64.b64decode(envelope["payload"])
    envelope["payload"] = base64.b64encode(payload.replace(b'"FAILED"', b'"PASSED"')).decode()
    (tmp_path / "out" / f"{pack}.intoto.jsonl").write_bytes(json.dumps(envelope).encode() + b"\n" + b"".join(rest))
    assert "VerificationError" in refusal()
    (tmp_path / "out" / f"{pack}.intoto.jsonl").write_bytes(whole)
    with small_theatre(tmp_path / "elsewhere", learns_nothing) as other:
        other.store.begin_run(1, None)
        exported(other, tmp_path / "other")
    shutil.copyfile(tmp_path / "other" / PUBLIC, tmp_path / "out" / PUBLIC)
    assert "VerificationError" in refusal()


def test_a_promoted_pack_is_told_with_recipe_parent_rows_results_and_verdict(
    promoted: Instruments, tmp_path: Path
) -> None:
    exports = exported(promoted, tmp_path)
    pack = promoted.store.get_pass(1).pack
    assert pack is not None
    found = statements(tmp_path, pack)
    manifest = promoted.packs.manifest(pack)
    for statement in (one for many in found.values() for one in many):
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        digests = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
        files = {name: file.sha256 for name, file in manifest.files.items()}
        assert digests == {f"urn:autosurgeon:pack:{pack}": pack, **files}
    [made] = [one["predicate"] for one in found[PROVENANCE]]
    assert LEFT_OUT not in made
    definition, details = made["buildDefinition"], made["runDetails"]
    assert definition["externalParameters"]["recipe"] == promoted.store.get_pass(1).recipe.model_dump(mode="json")
    parent, rows = definition["resolvedDependencies"]
    assert parent["digest"]["sha256"] == base_of(promoted)
    assert rows["digest"]["sha256"] == manifest.lineage.dataset
    trained = promoted.store.trained_rows(["pass-0001"])["pass-0001"]
    assert sorted(task for ids in rows["annotations"]["taskIds"].values() for task in ids) == sorted(trained)
    assert details["builder"]["version"] == {"autosurgeon": __version__}
    assert details["metadata"]["invocationId"] == "pass-0001"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", details["metadata"]["startedOn"])
    tested = [one["predicate"] for one in found[TEST_RESULT]]
    assert {one["configuration"][0]["annotations"]["occasion"] for one in tested} == {
        "pass-0001/bench",
        "pass-0001/watch",
    }
    results = promoted.store.envelopes(pack, "pass-0001/bench")
    [bench] = [one for one in tested if one["configuration"][0]["annotations"]["occasion"] == "pass-0001/bench"]
    assert bench["passedTests"] == sorted(t for t, e in results.items() if e.passed and e.bench == "b")
    assert (bench["result"], bench["failedTests"]) == ("PASSED", [])
    [verdict] = [one["predicate"] for one in found[VERIFICATION]]
    assert (verdict["verificationResult"], verdict["verifiedLevels"]) == ("PASSED", ["AUTOSURGEON_CONFIRMED"])
    assert verdict["policy"]["digest"]["sha256"] == promoted.policy.digest
    lessons = {rule["rule_id"]: rule["lesson"] for j in verdict["autosurgeon_judgements"] for rule in j["rules"]}
    assert lessons["real-gain"].startswith("A new pack has to earn its place")
    assert exports[pack].left_out[0]["what"].startswith("test result of leak in pass-0001/bench")


def test_an_imported_base_has_no_provenance_and_says_why(promoted: Instruments, tmp_path: Path) -> None:
    base = base_of(promoted)
    one = exported(promoted, tmp_path)[base]
    assert one.left_out[0] == {
        "what": "provenance",
        "why": "the pack was imported, and how it was made is not known here",
    }
    found = statements(tmp_path, base)
    assert PROVENANCE not in found
    [verdict] = [statement["predicate"] for statement in found[VERIFICATION]]
    assert verdict["verifiedLevels"] == ["AUTOSURGEON_BASELINE"]
    [bench] = [statement["predicate"] for statement in found[TEST_RESULT]]
    assert (bench["result"], bench["autosurgeon_causes"]["b/gate-1"]) == ("FAILED", "wrong")


def test_the_same_memory_gives_the_same_bytes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with small_theatre(tmp_path / "w", learns_everything) as ins:
        run(ins)
        assert {one.wrote for one in exported(ins, out).values()} == {"new"}
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        assert {one.wrote for one in exported(ins, out).values()} == {"same"}
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_what_nothing_is_known_of_has_no_bundle(tmp_path: Path) -> None:
    with small_theatre(tmp_path / "w", learns_nothing) as ins:
        run(ins)
        pack = make_pack(ins, 7)
        [one] = export(ins.workspace, ins.store, tmp_path / "out", Masking(), [pack])
    assert (one.file, one.wrote, one.statements) == (None, "", ())
    assert [left["what"] for left in one.left_out] == ["provenance", "test result", "policy decision"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [PUBLIC]


def test_a_file_that_this_key_did_not_sign_is_in_the_way(promoted: Instruments, tmp_path: Path) -> None:
    base = base_of(promoted)
    foreign = tmp_path / f"{base}.intoto.jsonl"
    foreign.write_text("mine\n")
    with pytest.raises(UserError, match=r"replace a foreign file; got .*not signed by this key"):
        exported(promoted, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [foreign.name]
    foreign.unlink()
    (tmp_path / PUBLIC).write_text("{}")
    with pytest.raises(UserError, match="a key of another workspace"):
        exported(promoted, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        exported(promoted, tmp_path / "file" / "below")


def test_a_word_against_the_policy_leaves_the_verdict_failed_and_is_masked(tmp_path: Path) -> None:
    with small_theatre(tmp_path / "w", learns_nothing, passes=1) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state in (PassState.HELD, PassState.REJECTED)
        until = datetime.now(UTC) + timedelta(hours=1)
        override(ins, 1, Verdict.ACCEPT, by=Person(login="zoe"), reason="zoe read /home/zoe/log.txt", expires_at=until)
        [open_pack] = [one for one in exported(ins, tmp_path / "out").values() if one.pack == record.pack]
        assert "is still open" in open_pack.left_out[-1]["why"]
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        masking = masking_of(ins.workspace, ("paths", "prompts"))
        exports = exported(ins, tmp_path / "out", masking)
        plain = exported(ins, tmp_path / "plain")
    assert record.pack is not None
    assert exports[record.pack].wrote == "again"
    [verdict] = [one["predicate"] for one in statements(tmp_path / "out", record.pack)[VERIFICATION]]
    assert (verdict["verificationResult"], verdict["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert verdict["autosurgeon_overrides"][0]["verdict"] == "ACCEPT"
    assert "zoe" not in json.dumps(verdict)
    assert {one["kind"]: one["count"] for one in verdict["autosurgeon_masked"]} == {"path": 1, "user": 2}
    assert [one.kind for one in exports[record.pack].masked] == ["path", "user"]
    [verdict] = [one["predicate"] for one in statements(tmp_path / "plain", record.pack)[VERIFICATION]]
    assert verdict["autosurgeon_overrides"][0]["by"] == "zoe"
    assert not plain[record.pack].masked


def test_statements_of_before_a_rotation_and_of_after_it_verify_in_one_folder(tmp_path: Path) -> None:
    with small_theatre(tmp_path / "w", learns_everything) as ins:
        run(ins)
        out, before = tmp_path / "out", tmp_path / "before"
        packs = list(exported(ins, out))
        shutil.copytree(out, before)
        rotate_key(ins.workspace, ins.store, None, print, who=Person(login="ann"), reason="a new year", lost=False)
        (one,) = export(ins.workspace, ins.store, out, Masking(), packs[:1])
        assert one.wrote == "again"
        names = [path.name for path in out.iterdir() if not path.name.endswith(".jsonl")]
        assert len(names) == 3  # both public keys, and the statement between them
        for folder in (out, before):
            for pack in packs:
                done = verify(folder, ins.packs.path(pack), tmp_path)
                assert done.returncode == 0, done.stderr
        assert {one.wrote for one in export(ins.workspace, ins.store, before, Masking())} == {"again"}
        assert verify(before, ins.packs.path(packs[1]), tmp_path).returncode == 0
