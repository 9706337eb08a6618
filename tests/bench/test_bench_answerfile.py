"""Answers on disk: read back as they were, readable as samples, and not to be taken for others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench.answerfile import Asked, read_answers, write_answers
from autosurgeon.bench.formats.samples import read_samples
from autosurgeon.core.answers import Answers, Reply
from autosurgeon.errors import UserError

ASKED = Asked("B", "base at http://h/v1", 2)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
REPLIES = st.builds(
    Reply,
    text=TEXTS,
    tokens=st.none() | st.integers(0, 10**6),
    handler=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    fallback=st.booleans(),
    model=st.none() | TEXTS,
)


@given(st.lists(st.tuples(REPLIES, REPLIES), min_size=1, max_size=4))
def test_answers_are_read_back_as_they_were_and_are_samples_too(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[Reply, Reply]]
) -> None:
    path = tmp_path_factory.mktemp("answers") / "a.jsonl"
    answers = Answers({f"t/{n}": list(pair) for n, pair in enumerate(pairs)}, "print")
    write_answers(path, ASKED, answers)
    assert read_answers(path, ASKED, answers.replies) == answers
    assert [sample.text for sample in read_samples(path)] == [reply.text for pair in pairs for reply in pair]
    assert [left.name for left in path.parent.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    ("asked", "task_ids", "said"),
    [
        (ASKED._replace(mode="A"), ["t/0"], "got B of base at http://h/v1, t/0"),
        (ASKED._replace(source="another"), ["t/0"], "to something else"),
        (ASKED._replace(samples=3), ["t/0"], "2 answers to t/0, wanted 3"),
        (ASKED, ["t/1"], "to something else"),
    ],
)
def test_answers_to_something_else_are_refused(tmp_path: Path, asked: Asked, task_ids: list[str], said: str) -> None:
    path = tmp_path / "a.jsonl"
    write_answers(path, ASKED, Answers({"t/0": [Reply(text="x")] * 2}, "print"))
    with pytest.raises(UserError) as caught:
        read_answers(path, asked, task_ids)
    assert said in str(caught.value)


@pytest.mark.parametrize("row", ['{"task_id": "t/0", "completion": "x"}', '{"task_id": "t/0"}', "[]", '{"task_id": 1}'])
def test_a_file_of_other_samples_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(row + "\n", encoding="utf-8")
    with pytest.raises(UserError):
        read_answers(path, ASKED, ["t/0"])


def test_a_row_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_answers(path, ASKED, Answers({"t/0": [Reply(text="x")] * 2}, "print"))
    path.write_text(path.read_text(encoding="utf-8").replace("false", '"perhaps"'), encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.jsonl:1"):
        read_answers(path, ASKED, ["t/0"])


def test_a_task_without_an_answer_is_left_out_and_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_answers(path, ASKED, Answers({"t/0": [Reply(text="x")] * 2, "t/1": []}, "print", {"t/1": "too long"}))
    assert list(read_answers(path, ASKED, ["t/0", "t/1"]).replies) == ["t/0"]
