"""What is masked is replaced by markers, whatever it stands in, and listed; nothing else is touched."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import make_decision
from hypothesis import given
from hypothesis import strategies as st
from pages import make_flip, make_report, overruled

from autosurgeon.audit.mask import (
    SECRET,
    SECRET_DIGEST,
    Mask,
    Masking,
    masked_record,
    masked_summary,
    masked_value,
    masking_of,
)
from autosurgeon.audit.render_reports import render_pass
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError

ALL = Masking(
    frozenset({"prompts", "paths"}), b"s" * 32, ("/srv/our night", "/root"), frozenset({"ada", "ada.lovelace"})
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see /home/eve/x.py:12: bad", "see {}:12: bad"),
        ('File "/home/eve/my docs/x", line 3', 'File "{}", line 3'),
        ("[Errno 2] none: '/root/x y/z'", "[Errno 2] none: '{}'"),
        ("file:///home/eve/x", "{}"),
        ("//home/eve and (/tmp/x)", "{} and ({})"),
        ("error:/home/eve/x.", "error:{}."),
        ("PATH=/a:/home/eve", "PATH={}"),
        ("~/secret ~eve/x", "{} {}"),
        ("in /srv/our night/data/x.db now", "in {} now"),
        ("/srv/our night", "{}"),
        ("by ada.lovelace, not ada: ada's adapter", "by {}, not {}: {}'s adapter"),
        ("/root", "{}"),
    ],
)
def test_paths_and_users_are_found_in_prose(text: str, left: str) -> None:
    mask = Mask(ALL)
    masked = mask.text(text)
    markers = [f"[masked {one.kind} {marker}]" for one in mask.found for marker in one.markers]
    for marker in markers:
        masked = masked.replace(marker, "{}")
    assert masked == left
    assert sum(one.count for one in mask.found) == left.count("{}")


@pytest.mark.parametrize(
    "text",
    [
        "https://slsa.dev/provenance/v1",
        "lab-mbpp/3 and b/gate-1",
        "x / y",
        "(a+b)/c",
        "1/2 and/or",
        "pass-0001/bench",
        "",
    ],
)
def test_what_is_no_path_is_left_alone(text: str) -> None:
    mask = Mask(ALL)
    assert (mask.text(text), mask.found) == (text, ())


@given(
    st.lists(st.text("abc.-_", min_size=1), min_size=1, max_size=4), st.sampled_from(["at {}", "'{}'", "x={}", "({})"])
)
def test_no_part_of_an_absolute_path_is_left(parts: list[str], frame: str) -> None:
    path = "/" + "/".join(f"Z{part}Z" for part in parts)
    assert "Z" not in Mask(ALL).text(frame.format(path))


def test_equal_values_have_equal_markers_and_another_secret_gives_others() -> None:
    first, second = Mask(ALL).text("/a/b"), Mask(ALL._replace(secret=b"t" * 32)).text("/a/b")
    assert Mask(ALL).text("/a/b") == first != second
    mask = Mask(ALL)
    mask.text("/a/b /a/b /c")
    assert [(one.kind, one.count, len(one.markers)) for one in mask.found] == [("path", 3, 2)]
    assert masked_summary(mask.found).startswith("3 path (")


def test_nothing_is_masked_that_was_not_asked_for() -> None:
    record = make_decision(reason="/home/ada/x").record()
    assert masked_record(record, Masking()) is record
    report = make_report()
    assert masked_value(report, Masking()) is report
    only = masked_value(report, ALL._replace(kinds=frozenset({"paths"})))
    assert [flip.prompt for flip in only.flips] == [flip.prompt for flip in report.flips]


def test_a_report_keeps_none_of_its_secrets_in_any_form() -> None:
    flip = make_flip(prompt="PROMPT", before="BEFORE", after="AFTER", detail="solve('DETAIL') at /DETAIL/x")
    word = overruled("pass-0004-smoke")
    assert word.override is not None
    said = word.override.model_copy(update={"reason": "ada read /REASON/x"})
    word = word.model_copy(update={"override": said, "reason": "REJECT by ada: /REASON/x"})
    report = make_report(flips=(flip,))
    report = report.model_copy(update={"decisions": (*report.decisions, word)})
    masked = masked_value(report, ALL.knowing([word]))
    for page in (render_pass(masked, "md"), render_pass(masked, "html"), masked.model_dump_json()):
        for secret in ("PROMPT", "BEFORE", "AFTER", "DETAIL", "REASON"):
            assert secret not in page
        assert "by ada" not in page
        for one in masked.masked:
            assert all(page.count(marker) >= 2 or one.kind == "user" for marker in one.markers), one
    assert {one.kind for one in masked.masked} == {"prompt", "program", "check", "path", "user"}
    assert "## Masked" in render_pass(masked, "md")
    assert "<h2>Masked</h2>" in render_pass(masked, "html")
    assert "Masked" not in render_pass(report, "md")


def test_a_record_lists_what_was_masked_in_it() -> None:
    record = masked_record(overruled("d").record() | {"reason": "ACCEPT by ada"}, ALL)
    assert "ada" not in json.dumps(record)
    assert record["masked"] == [{"kind": "user", "count": 2, "markers": [record["override"]["by"][-13:-1]]}]


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert masking_of(workspace, ()) == Masking()
    assert not workspace.keys.exists()
    masking = masking_of(workspace, ["paths"])
    assert masking_of(workspace, ["paths"]) == masking
    path = workspace.keys / SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(UserError, match="damaged; got 5 bytes"):
        masking_of(workspace, ["paths"])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "is lost"),
        (lambda path: path.write_bytes(bytes(32)), "was replaced"),
        (lambda path: path.write_bytes(b""), "damaged; got 0 bytes"),
    ],
)
def test_a_secret_that_is_lost_or_exchanged_is_not_made_anew(
    tmp_path: Path, harm: Callable[[Path], object], message: str
) -> None:
    workspace = Workspace(tmp_path)
    before = masking_of(workspace, ["paths"])
    harm(workspace.keys / SECRET)
    with pytest.raises(UserError, match=message):
        masking_of(workspace, ["paths"])
    (workspace.keys / SECRET).unlink(missing_ok=True)
    (workspace.keys / SECRET_DIGEST).unlink()
    assert masking_of(workspace, ["paths"]).secret != before.secret


def test_a_secret_from_before_digests_is_taken_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    before = masking_of(workspace, ["paths"])
    (workspace.keys / SECRET_DIGEST).unlink()
    assert masking_of(workspace, ["paths"]) == before
    assert (workspace.keys / SECRET_DIGEST).is_file()
