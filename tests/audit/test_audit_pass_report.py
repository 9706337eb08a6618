"""The report of a pass for each way to end: its content, and that its numbers are those of the evidence."""

from __future__ import annotations

import pytest
from pages import (
    POLICY,
    Page,
    all_accepted,
    decided,
    make_flip,
    make_live,
    make_report,
    make_training,
    overruled,
    record_of,
    refused_at_smoke,
)

from autosurgeon.audit.pass_report import PassReport, StageCost, clipped, describe_recipe
from autosurgeon.audit.render_reports import Form, render_pass
from autosurgeon.core.decision import Alpha, Cost
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Mix, Quantization, Recipe

FORMS: tuple[Form, ...] = ("md", "html")


def words(report: PassReport, form: Form) -> str:
    """The page's words on one line, without the marks of its form."""
    page = render_pass(report, form)
    text = page.replace("\\", "").replace("**", "").replace("`", "") if form == "md" else Page(page).text
    return " ".join(text.split())


@pytest.mark.parametrize("form", FORMS)
def test_a_refused_pass_says_by_which_rule_with_what_was_seen_wanted_and_how_far_off(form: Form) -> None:
    report_text = words(make_report(), form)
    assert "Pass 4: REJECTED" in report_text
    assert "Phase smoke, rule anchors-kept: smoke.lost is 2, wanted at_most 0." in report_text
    assert "BD6.2 lost its wins." in report_text
    rule = make_report().judged[0][1].rules[0]
    assert (rule.rule_id, rule.margin) == ("anchors-kept", -2)
    assert "| 2 | at_most 0 | -2 | failed | enforce" in report_text or "at_most 0 -2 failed enforce" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_the_refusing_phase_stands_before_those_that_let_the_pass_go_on(form: Form) -> None:
    report_text = words(make_report(), form)
    assert (
        report_text.index("smoke: REJECT")
        < report_text.index("proposal: ACCEPT")
        < report_text.index("training: ACCEPT")
    )


def test_in_html_only_the_refusing_phase_is_unfolded() -> None:
    page = Page(render_pass(make_report(flips=()), "html"))
    assert [("open" in attributes) for tag, attributes in page.tags if tag == "details"] == [True, False, False]


@pytest.mark.parametrize("form", FORMS)
def test_a_rule_in_audit_is_told_after_the_binding_one_and_does_not_decide(form: Form) -> None:
    report_text = words(make_report(), form)
    assert report_text.index("anchors-kept") < report_text.index("measured-only")
    refusal = make_report().refusal
    assert refusal is not None
    assert refusal[2] is not None
    assert refusal[2].rule_id == "anchors-kept"


@pytest.mark.parametrize("form", FORMS)
def test_an_accepted_pass_says_which_version_it_made_and_what_its_look_cost(form: Form) -> None:
    alpha = Alpha(look=3, spent=0.0034, left=0.041)
    power = "this bench can see a loss of 7 or more tasks"
    report = make_report(PassState.CONFIRMED, decisions=all_accepted(alpha=alpha, power=power))
    report_text = words(report, form)
    assert "Its pack went live as version 2 and held in the watch." in report_text
    assert (
        "Look 3 spent alpha 0.0034; 0.041 is left for this live version. This bench can see a loss of 7" in report_text
    )
    assert "REJECT" not in report_text


@pytest.mark.parametrize("form", FORMS)
def test_a_held_pass_says_that_it_proved_nothing(form: Form) -> None:
    held = (decided("proposal"), decided("training", {"training.loss": None}, action="stop"))
    report_text = words(make_report(PassState.HELD, decisions=held), form)
    assert "The evidence was inconclusive" in report_text
    assert "rule loss-is-a-number: training.loss is missing, wanted at_least 0" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_a_failed_pass_says_what_the_world_did_and_blames_no_rule(form: Form) -> None:
    record = record_of(PassState.FAILED, reason="capsule memory: 9.0 GiB resident")
    stage = StageCost(name="train", attempts=2, seconds=3.0, error="capsule memory: 9.0 GiB resident")
    report = make_report(record=record, decisions=(decided("proposal"),), training=None, flips=(), stages=(stage,))
    report_text = words(report, form)
    assert (
        "It failed for an external reason, which is no evidence about the recipe. capsule memory: 9.0 GiB resident"
        in report_text
    )
    assert "train (failed: capsule memory: 9.0 GiB resident)" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_a_reverted_pass_names_both_versions_and_the_rule_of_the_watch(form: Form) -> None:
    fell = decided("watch", {"watch.canary_net": -1}, action="revert", live_version=3)
    report = make_report(PassState.REVERTED, decisions=(*all_accepted()[:-1], fell))
    report_text = words(report, form)
    assert "went live as version 2 and was reverted: version 3 is an older pack." in report_text
    assert "Phase watch, rule canary: watch.canary_net is -1" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_an_overridden_verdict_is_shown_with_who_why_and_until_when(form: Form) -> None:
    decisions = (*refused_at_smoke(), overruled("pass-0004-smoke"), *all_accepted()[3:])
    report_text = words(make_report(PassState.CONFIRMED, decisions=decisions), form)
    assert "A person overruled 1 of its verdicts." in report_text
    assert "ACCEPT against pass-0004-smoke, by ada: it is wrong (in force until 2030-01-02T00:00:00 UTC)" in report_text
    assert "smoke: REJECT" in report_text
    assert "The refusal saved" not in report_text


@pytest.mark.parametrize("form", FORMS)
def test_a_pass_that_is_still_open_says_so(form: Form) -> None:
    report_text = words(make_report(PassState.READY, decisions=(decided("proposal"),), flips=()), form)
    assert "Still open, in state READY." in report_text
    assert "ended not yet" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_a_pass_of_which_nothing_was_measured_claims_nothing(form: Form) -> None:
    report_text = words(PassReport(record=record_of(PassState.PROPOSED), proposer="It was the first pass."), form)
    for phrase in (
        "No gate has judged the pass yet.",
        "Lost: 0",
        "Nothing was trained.",
        "No version has been live yet.",
        "No alpha was spent on a look at the benches.",
        "Tokens trained on: 0; generated: 0.",
    ):
        assert phrase in report_text
    assert "data:image" not in render_pass(PassReport(record=record_of(PassState.PROPOSED), proposer=""), "html")
    assert report_text.count("unknown") == 6 + 4  # constraints, and what was used of the machine


@pytest.mark.parametrize("form", FORMS)
def test_each_flip_has_its_marks_its_prompt_its_failing_check_and_both_programs(form: Form) -> None:
    report_text = words(make_report(flips=(make_flip(marks=("anchor", "hidden")), make_flip("b/9", "gained"))), form)
    assert "# add one" in report_text
    assert "The candidate fails it: wrong: solve(1) is 0, wanted 2" in report_text
    assert "The live pack fails it: wrong" in report_text
    assert report_text.index("b/1") < report_text.index("b/9")
    page = render_pass(make_report(), form)
    assert "-    return x + 1" in page
    assert "+    return x - 1" in page
    assert "anchor" in report_text
    assert "hidden" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_flips_beyond_those_shown_in_full_are_named(form: Form) -> None:
    flips = tuple(make_flip(f"b/{number}") for number in range(50))
    report_text = words(make_report(flips=flips), form)
    assert "Lost: 50" in report_text
    assert "And 10 more: b/40, b/41" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_a_program_that_was_not_kept_leaves_the_one_that_was(form: Form) -> None:
    report_text = words(make_report(flips=(make_flip(after=None),)), form)
    assert "return x + 1" in report_text
    assert "nly the program of the live pack is stored" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_the_curve_has_its_epochs_and_the_line_where_the_policy_stops(form: Form) -> None:
    report = make_report()
    assert [(stop.rule_id, stop.loss) for stop in report.stop_lines] == [("loss-floor", 0.4)]
    report_text = words(report, form)
    assert "10 steps over 20 rows, epochs read: 2; last loss 0.4, first epoch 0.8" in report_text
    assert "0.45" in report_text
    assert "stop line of loss-floor" in report_text


def test_a_bound_on_the_loss_itself_is_a_line_at_that_loss_and_a_ratio_needs_a_first_epoch() -> None:
    assert make_report(training=make_training(first_epoch_loss=None)).stop_lines == []
    judgement = decided("training").judgement
    assert judgement is not None
    bound = judgement.rules[0].model_copy(update={"fact": "training.loss", "bound": "at_least 0.25"})
    changed = judgement.model_copy(update={"rules": (bound,)})
    report = make_report(decisions=(decided("training", judgement=changed),))
    assert [stop.loss for stop in report.stop_lines] == [0.25]


@pytest.mark.parametrize("form", FORMS)
def test_what_it_cost_and_what_the_refusal_saved_are_told_in_numbers(form: Form) -> None:
    report_text = words(make_report(cost=Cost(seconds=14.5, trained_tokens=4321, generated_tokens=77)), form)
    assert "14.5" in report_text
    assert "Tokens trained on: 4321; generated: 77." in report_text
    assert "The refusal saved about 61.5 s, 0 trained and 900 generated tokens" in report_text


@pytest.mark.parametrize("form", FORMS)
def test_the_trend_tells_wins_of_tasks_per_bench_and_in_total(form: Form) -> None:
    trend = (make_live(1, 10, "baseline"), make_live(2, 14, pass_number=1), make_live(3, 10, "revert"))
    report_text = words(make_report(trend=trend), form)
    for phrase in ("10 of 30", "14 of 30", "promote of pass 1", "revert", "baseline"):
        assert phrase in report_text


def test_a_self_test_that_failed_is_told_with_its_names() -> None:
    report = make_report(decisions=(decided("proposal", {"selftest.failed": 1, "selftest.names": ("a loss passed",)}),))
    assert "1 checks failed: a loss passed" in words(report, "md")


def test_a_recipe_is_told_in_words() -> None:
    careful = describe_recipe(Recipe(lr=0.0005, anchor_share=1.0, seed=3))
    assert careful == (
        "Train the live pack on 100% of its fresh failures, with 1 anchors for each, read once: LoRA of rank 8 with "
        "alpha 16, learning rate 0.0005, seed 3."
    )
    hot = describe_recipe(
        Recipe(parent="base", mix=Mix.UNION, lr=0.1, epochs=4, quantization=Quantization.NF4, anchor_share=0)
    )
    assert "Train the base on every task that ever failed, mastered or not, with no anchors, read 4 times" in hot
    assert "the base held in nf4" in hot


def test_a_megabyte_of_program_is_cut_and_said_so() -> None:
    assert clipped("x" * 4000) == "x" * 4000
    assert clipped("x" * 5000).endswith("... (1000 more characters)")


def test_the_same_report_is_the_same_page() -> None:
    assert render_pass(make_report(), "html") == render_pass(make_report(), "html")
    assert POLICY.name in render_pass(make_report(), "html")
