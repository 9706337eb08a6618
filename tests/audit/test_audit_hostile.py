"""Candidates' programs, failure texts and names are a stranger's: no page lets them be more than text."""

from __future__ import annotations

import re

import pytest
from builders import make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pages import Page, decided, make_bench, make_flip, make_live, make_report, overruled, record_of

from autosurgeon.audit.escape import Markdown, code, escaped, fenced, printable
from autosurgeon.audit.pass_report import PassReport, StopLine
from autosurgeon.audit.plots import plot_loss, plot_wins
from autosurgeon.audit.render_reports import render_pass
from autosurgeon.core.pass_states import PassState
from autosurgeon.policy.judge import judge

SCRIPT = '</pre><script>alert("x")</script><img src=x onerror=alert(1)>'
TICKS = "````\n``` \n# a heading\n[a](javascript:alert(1)) ![i](http://evil.example/i.png)\n| a | b |"
CONTROL = "\x1b[2J\x1b[1;1H\u202egood\u2066 \x00\u2028end"
HOSTILE = f"{SCRIPT}\n{TICKS}\n{CONTROL}"


def hostile_report() -> PassReport:
    """Every text that a stranger has a hand in."""
    flip = make_flip(
        HOSTILE, prompt=HOSTILE, before=HOSTILE, after=HOSTILE + "x", detail=HOSTILE, split=HOSTILE, marks=(HOSTILE,)
    )
    policy = make_policy(make_rule("kept", "smoke.lost", phase="smoke", at_most=0, lesson=HOSTILE))
    judgement = judge(policy, "smoke", {"smoke.lost": 1, "smoke.lost_names": (HOSTILE,)})
    rules = tuple(rule.model_copy(update={"rule_id": HOSTILE, "bound": HOSTILE}) for rule in judgement.rules)
    judgement = judgement.model_copy(update={"rules": rules})
    word = overruled(HOSTILE)
    assert word.override is not None
    word = word.model_copy(update={"override": word.override.model_copy(update={"reason": HOSTILE, "by": HOSTILE})})
    return make_report(
        record=record_of(PassState.FAILED, reason=HOSTILE, pack=HOSTILE),
        proposer=HOSTILE,
        rows={HOSTILE: 1},
        decisions=(decided("training"), decided("smoke", judgement=judgement), word),
        flips=(flip, make_flip(HOSTILE, prompt=HOSTILE, after=None, before=HOSTILE)),
        benches=(make_bench(HOSTILE, excluded=HOSTILE),),
        trend=(make_live(1, pack=HOSTILE, wins={HOSTILE: 1}, tasks={HOSTILE: 2}),),
    )


@pytest.fixture
def report() -> PassReport:
    return hostile_report()


def test_no_stranger_opens_a_tag_in_html(report: PassReport) -> None:
    hostile, harmless = Page(render_pass(report, "html")), Page(render_pass(make_report(), "html"))
    assert hostile.misfits == []
    assert hostile.names() <= harmless.names() | {"p"}
    assert not {"script", "iframe", "object", "link"} & hostile.names()
    assert not any(name.startswith("on") for _, attributes in hostile.tags for name in attributes)


def test_html_refers_to_nothing_outside_and_forbids_itself_to(report: PassReport) -> None:
    page = Page(render_pass(report, "html"))
    referring = {"src", "href", "srcset", "action", "data", "poster"}
    found = [value or "" for _, attributes in page.tags for name, value in attributes.items() if name in referring]
    assert found
    assert all(value.startswith("data:image/png;base64,") for value in found)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    style = re.search(r"<style>(.*?)</style>", render_pass(report, "html"), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_what_a_program_says_is_still_there_to_be_read(report: PassReport) -> None:
    assert '<script>alert("x")</script>' in Page(render_pass(report, "html")).text


def test_no_stranger_is_markup_in_markdown(report: PassReport) -> None:
    page = render_pass(report, "md")
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    kinds = {child.type for token in tokens for child in token.children or ()} | {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    headings = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert not any(heading.startswith("a heading") for heading in headings)
    fences = [token.content for token in tokens if token.type == "fence"]
    assert len(fences) == 4
    assert all("a heading" in fence for fence in fences)


def test_every_row_of_a_table_has_as_many_cells_as_its_head(report: PassReport) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(render_pass(report, "md"))
    rows = [token for token in tokens if token.type in ("tr_open", "tr_close", "th_open", "td_open", "table_open")]
    width, cells = 0, 0
    for token in rows:
        if token.type == "table_open":
            width = 0
        elif token.type == "tr_open":
            cells = 0
        elif token.type == "tr_close":
            width = width or cells
            assert cells == width
        else:
            cells += 1
    assert "| `a` |" not in render_pass(report, "md")


@pytest.mark.parametrize("form", ["md", "html"])
def test_no_page_moves_a_cursor_or_turns_text_around(report: PassReport, form: str) -> None:
    page = render_pass(report, "md" if form == "md" else "html")
    assert not [char for char in page if not char.isprintable() and char not in "\n\t"]
    assert "\\u202e" in page


@given(st.text())
def test_any_text_is_one_line_of_prose_and_says_the_same(text: str) -> None:
    line = escaped(text)
    assert "\n" not in line
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"said: {line}")
    assert {token.type for token in tokens} == {"paragraph_open", "inline", "paragraph_close"}
    said = "".join(child.content for child in tokens[1].children or ())
    assert said == f"said: {' '.join(printable(text).split())}".rstrip()


@given(st.text(alphabet="`ab |\\\n~<", max_size=30))
def test_any_text_is_one_code_span(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"x {str(code(text)).replace(chr(92) + '|', '|')} y")
    kinds = [child.type for child in tokens[1].children or ()]
    assert kinds == ["text", "code_inline", "text"]


@given(st.text(alphabet="`~a\n", max_size=40))
def test_any_text_is_one_block_of_code(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(fenced(text) + "\n\nend")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content.rstrip("\n") == text.rstrip("\n")


def test_what_is_finished_is_not_escaped_again() -> None:
    assert escaped(Markdown("**a**")) == "**a**"
    assert escaped("- a") == "\\- a"
    assert escaped("1. a") == "1\\. a"
    assert escaped("-2.5") == "-2.5"
    assert escaped("smoke.lost_names __init__") == "smoke.lost_names \\_\\_init\\_\\_"


def test_plots_draw_any_name_without_taking_it_for_mathematics() -> None:
    name = r"$\frac{ _hidden 漢字"
    png = plot_loss(((1, 1.0),), ((1, 1.0),), [StopLine(name, 0.5)])
    assert png.startswith(b"\x89PNG")
    live = make_live(1, wins={name: 1, "x" * 500: 2}, tasks={name: 2, "x" * 500: 2})
    assert plot_wins([(1, live)], "live version", until=3).startswith(b"\x89PNG")
