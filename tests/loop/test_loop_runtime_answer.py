"""Whether the runtime answers with a pack: what it lists, what completes, and who did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runtimes import runtime

from autosurgeon.core.ports import no_beat
from autosurgeon.loop.deploy.runtime_answer import ask_once, wait_for_answer

PACK = "a" * 64


def test_a_runtime_that_lists_and_completes_with_the_pack_serves_it(tmp_path: Path) -> None:
    (tmp_path / "served").write_text(PACK)
    with runtime(tmp_path / "served") as deployed:
        assert ask_once(f"{deployed.url}/", PACK, no_beat) is None
        assert deployed.asked == ["/v1/models", "/v1/completions"]
        deployed.headers = {"x-autosurgeon-handler": "organ", "x-autosurgeon-fallback": "false"}
        assert ask_once(deployed.url, PACK, no_beat) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"answer": {"model": "b" * 64}}, "another model"),
        ({"answer": {"x-autosurgeon-fallback": True}}, "a fallback model answers"),
        ({"headers": {"x-autosurgeon-fallback": "true"}}, "a fallback model answers"),
        ({"headers": {"x-autosurgeon-handler": "planner"}}, "another handler answers"),
        ({"status": 503}, "it answers with status 503"),
    ],
)
def test_another_answering_model_is_reported(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    (tmp_path / "served").write_text(PACK)
    with runtime(tmp_path / "served") as deployed:
        vars(deployed).update(changes)
        assert problem in (ask_once(deployed.url, PACK, no_beat) or "")


def test_a_runtime_that_is_down_is_waited_for_as_long_as_asked_and_the_beat_goes_on(tmp_path: Path) -> None:
    with runtime(tmp_path / "served") as deployed:
        pass
    beats: list[int] = []
    assert "Connection refused" in (wait_for_answer(deployed.url, PACK, 0.5, lambda: beats.append(1)) or "")
    assert len(beats) > 2
