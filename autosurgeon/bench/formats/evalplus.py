"""HumanEval+ and MBPP+: lists of arguments, on which the reference's answer is the wanted one."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from autosurgeon.bench.formats.evalplus_types import restored
from autosurgeon.bench.formats.humaneval import head_of
from autosurgeon.bench.formats.json_rows import Row, shown
from autosurgeon.bench.formats.literals import NoLiteralError, literal
from autosurgeon.bench.formats.mbpp import mbpp_id
from autosurgeon.bench.formats.syntax import functions_of, parse
from autosurgeon.bench.formats.to_task import make_task
from autosurgeon.core.task import Case, Task


class Oracle(NamedTuple):
    """What takes the place of comparing, where more than one answer is right."""

    accept: str
    support: str = ""


_AS_SETS = Oracle("set(got) == set(wanted)")
# An answer that is no plain data counts as true; where the answer is a truth value, it has to be the wanted one.
_NOT_NONE = Oracle(
    "(got if isinstance(got, bool) else got is not None)"
    " == (wanted if isinstance(wanted, bool) else wanted is not None)"
)
_PYRAMID = """
def pyramid_area(edge, height):
    slant = __import__("math").sqrt((edge / 2) ** 2 + height**2)
    return round(edge**2 + 2 * edge * slant)
"""
_DIGITS = """
def padded_digit_distance(one, other):
    width = max(len(str(one)), len(str(other)))
    return sum(abs(int(a) - int(b)) for a, b in zip(str(one).zfill(width), str(other).zfill(width)))
"""

HUMANEVAL_ORACLES = {
    "find_zero": Oracle("abs(poly(*given, got)) <= atol"),  # 32, whose prompt defines poly
}
MBPP_ORACLES = {
    "similar_elements": _AS_SETS,  # 2
    "find_char_long": _AS_SETS,  # 7
    "common_in_nested_lists": _AS_SETS,  # 111
    "extract_singly": _AS_SETS,  # 140
    "larg_nnum": _AS_SETS,  # 232
    "intersection_array": _AS_SETS,  # 249
    "find_dissimilar": _AS_SETS,  # 579
    "Diff": _AS_SETS,  # 769
    "check_str": _NOT_NONE,
    "text_match_three": _NOT_NONE,
    "text_starta_endb": _NOT_NONE,
    "are_equivalent": Oracle("True"),  # 164: the sentence does not say what it means by equivalent
    "sum_div": Oracle("got == wanted or got == 0"),  # 295: whether a number divides itself is left open
    "digit_distance_nums": Oracle("got == wanted or got == padded_digit_distance(*given)", _DIGITS),  # 558
    "surface_Area": Oracle("got == wanted or abs(got - pyramid_area(*given)) <= atol", _PYRAMID),  # 581: which height
}
"""By entry point, since the task's number changed its spelling between releases."""


def read_humaneval_plus(row: Row, bench: str) -> Task:
    """The task of a HumanEval+ row: task_id, prompt, entry_point, canonical_solution, contract, inputs and atol."""
    prompt, solution, entry_point = head_of(row)
    oracle = HUMANEVAL_ORACLES.get(entry_point, Oracle(""))
    base, plus = _cases(row, "base_input"), _cases(row, "plus_input")
    return make_task(
        row,
        task_id=row.text("task_id"),
        bench=bench,
        kind="function",
        prompt=prompt,
        prelude=prompt,
        entry_point=entry_point,
        cases=(*base, *plus),
        base_cases=len(base),
        support=prompt + solution + oracle.support,
        atol=_atol(row),
        accept=oracle.accept,
        contract=_contract(row),
        reference=solution,
    )


def read_mbpp_plus(row: Row, bench: str) -> Task:
    """The task of an MBPP+ row: the same fields, a prompt that only describes, and a reference that is whole."""
    solution, entry_point = row.text("canonical_solution"), row.text("entry_point")
    module = parse(solution)
    if module is None:
        raise row.misfit("canonical_solution", shown(solution), "Python")
    if entry_point not in functions_of(module):
        raise row.misfit("entry_point", shown(entry_point), "a function that canonical_solution defines")
    oracle = MBPP_ORACLES.get(entry_point, Oracle(""))
    task_id = mbpp_id(row)
    base, plus = _cases(row, "base_input", task_id), _cases(row, "plus_input", task_id)
    return make_task(
        row,
        task_id=task_id,
        bench=bench,
        kind="function",
        prompt=row.text("prompt"),
        entry_point=entry_point,
        cases=(*base, *plus),
        base_cases=len(base),
        support=solution + oracle.support,
        atol=_atol(row),
        accept=oracle.accept,
        contract=_contract(row),
        reference=solution,
    )


def _cases(row: Row, field: str, mbpp: str | None = None) -> list[Case]:
    """The inputs as literals; those of MBPP in the types that JSON lacks. Mbpp/793 spells no further inputs as `{}`."""
    cases = []
    is_empty = mbpp is not None and field == "plus_input" and row.content.get(field) == {}
    for index, given in enumerate([] if is_empty else row.items(field)):
        if not isinstance(given, list):
            raise row.misfit(f"{field}.{index}", shown(given), "a list of arguments")
        try:
            cases.append(Case(given=literal(tuple(restored(mbpp, given) if mbpp else given))))
        except NoLiteralError as error:
            raise row.misfit(f"{field}.{index}", error, "arguments that a Python literal can spell") from error
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise row.misfit(f"{field}.{index}", shown(given), f"arguments as {mbpp} takes them ({error})") from error
    return cases


def _atol(row: Row) -> float:
    return float(row.value("atol", (int, float), "a tolerance"))


def _contract(row: Row) -> str:
    """Published as lines of a function's body; here lines of their own, or of a block where they do not line up."""
    published = row.text("contract")
    lines = textwrap.dedent(published).strip("\n")
    return lines if parse(lines) is not None else f"if True:\n{published}"
