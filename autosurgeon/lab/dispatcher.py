"""The dispatcher of the lab's runtime, with the incident's leak.

A classifier decides which handler answers a prompt. By default it takes stdin-style prompts for planning problems and
routes them to another handler, as the incident's runtime did with LiveCodeBench. That handler answers with a plan, so
that every such task fails, independently of the organ.
"""

from __future__ import annotations

from typing import Literal

from autosurgeon.core.envelope import ORGAN

PLANNER = "planner"
REPAIR = 'set `stdin_route = "organ"` under `[lab]` in autosurgeon.toml'


class Dispatcher:
    """Routes prompts by their text only, as a runtime does: it does not know their bench."""

    def __init__(self, stdin_route: Literal["planner", "organ"]) -> None:
        self._stdin_route = stdin_route

    def route(self, prompt: str) -> str:
        """Return the handler that answers this prompt."""
        return self._stdin_route if "stdin" in prompt else ORGAN

    def answer(self, prompt: str) -> str:
        """Return the planner's answer: steps in words, not a program."""
        steps = prompt.lstrip("# ").rstrip(".\n").split(", ")
        return "Plan:\n" + "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1)) + "\n"
