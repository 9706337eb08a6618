"""The lab runtime's dispatcher, with the incident's leak.

Before the organ ever sees a prompt, a classifier decides who answers. By default it takes stdin-style prompts for
planning problems and hands them to another handler, as the incident's runtime did with LiveCodeBench. That handler
answers in good faith, with a plan, and every such task fails, which says nothing about the organ.
"""

from __future__ import annotations

from typing import Literal

from autosurgeon.core.envelope import ORGAN

PLANNER = "planner"
REPAIR = 'set `stdin_route = "organ"` under `[lab]` in autosurgeon.toml'


class Dispatcher:
    """Routes prompts by their text, as a runtime does: it is not told which bench they are from."""

    def __init__(self, stdin_route: Literal["planner", "organ"]) -> None:
        self._stdin_route = stdin_route

    def route(self, prompt: str) -> str:
        """The handler that answers this prompt."""
        return self._stdin_route if "stdin" in prompt else ORGAN

    def answer(self, prompt: str) -> str:
        """The planner's answer: steps in words, no program."""
        steps = prompt.lstrip("# ").rstrip(".\n").split(", ")
        return "Plan:\n" + "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1)) + "\n"
