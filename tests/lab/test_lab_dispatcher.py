from __future__ import annotations

import pytest

from autosurgeon.core.envelope import ORGAN
from autosurgeon.lab.dispatcher import Dispatcher
from autosurgeon.lab.lab_tasks import FORMS, Form, compositions, prompt_of

PROMPTS: dict[Form, list[str]] = {
    form: [prompt_of(composition, form) for composition in compositions()] for form in FORMS
}


def test_stdin_prompts_leak_to_the_planner_unless_repaired() -> None:
    dispatcher = Dispatcher("planner")
    assert {dispatcher.route(prompt) for prompt in PROMPTS["lcb"]} == {"planner"}


@pytest.mark.parametrize("form", ["mbpp", "humaneval"])
def test_prompts_for_a_function_reach_the_organ(form: Form) -> None:
    dispatcher = Dispatcher("planner")
    assert {dispatcher.route(prompt) for prompt in PROMPTS[form]} == {ORGAN}


def test_a_repaired_dispatcher_routes_every_prompt_to_the_organ() -> None:
    dispatcher = Dispatcher("organ")
    assert {dispatcher.route(prompt) for prompts in PROMPTS.values() for prompt in prompts} == {ORGAN}


def test_the_planner_answers_with_steps_that_are_not_a_program() -> None:
    answer = Dispatcher("planner").answer(PROMPTS["lcb"][0])
    assert answer.startswith("Plan:\n1. ")
    with pytest.raises(SyntaxError):
        compile(answer, "answer", "exec")
