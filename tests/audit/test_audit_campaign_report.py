"""The campaign: every pass in a line, and which rules refused, how often, and what that saved."""

from __future__ import annotations

import pytest
from pages import Page, all_accepted, decided, make_live, overruled, record_of, refused_at_smoke

from autosurgeon.audit.campaign_report import CampaignReport, build_campaign_report, count_rules
from autosurgeon.audit.render_reports import Form, render_campaign
from autosurgeon.core.decision import Alpha, Cost, Decision
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import PassRecord


def of_pass(number: int, decisions: tuple[Decision, ...]) -> list[Decision]:
    """The same decisions as another pass's."""
    return [
        d.model_copy(update={"pass_number": number, "decision_id": d.decision_id.replace("0004", f"{number:04d}")})
        for d in decisions
    ]


def numbered(number: int, state: PassState) -> PassRecord:
    return record_of(state).model_copy(update={"number": number})


SAVED = Cost(seconds=60, generated_tokens=500)
DECISIONS = [
    *of_pass(1, all_accepted(gained=("b/7", "b/8"), alpha=Alpha(look=1, spent=0.03, left=0.02))),
    *of_pass(2, refused_at_smoke(avoided=SAVED, alpha=Alpha(look=1, spent=0.0, left=0.02))),
    *of_pass(3, (decided("proposal", {"recipe.epochs": 4}, action="stop", avoided=SAVED),)),
    *of_pass(4, refused_at_smoke(avoided=SAVED)),
]
RECORDS = [
    numbered(1, PassState.CONFIRMED),
    numbered(2, PassState.REJECTED),
    numbered(3, PassState.REJECTED),
    numbered(4, PassState.REJECTED),
    numbered(5, PassState.FAILED),
]
COSTS: dict[int | None, Cost] = {number: Cost(seconds=number, trained_tokens=10) for number in range(1, 6)}
TREND = (make_live(1, 10, "baseline"), make_live(2, 14, during=1, pass_number=1))
CAMPAIGN = build_campaign_report(
    RECORDS, DECISIONS, COSTS | {None: Cost(seconds=4)}, TREND, spent=Cost(seconds=19, trained_tokens=50)
)


def test_each_pass_has_its_state_its_first_deciding_rule_its_margin_and_its_flips() -> None:
    found = [(line.number, line.state, line.phase, line.rule, line.margin) for line in CAMPAIGN.passes]
    assert found == [
        (1, "CONFIRMED", "", "", None),
        (2, "REJECTED", "smoke", "anchors-kept", -2),
        (3, "REJECTED", "proposal", "few-epochs", -2),
        (4, "REJECTED", "smoke", "anchors-kept", -2),
        (5, "FAILED", "", "", None),
    ]
    assert [(line.lost, line.gained) for line in CAMPAIGN.passes] == [
        (0, 2),
        (2, 0),
        (None, None),
        (2, 0),
        (None, None),
    ]


def test_rules_are_counted_by_the_passes_that_they_ended_and_what_that_saved() -> None:
    assert [(rule.rule_id, rule.refused, rule.objected, rule.saved.seconds) for rule in CAMPAIGN.rules] == [
        ("anchors-kept", 2, 2, 120),
        ("few-epochs", 1, 1, 60),
    ]
    assert CAMPAIGN.saved == Cost(seconds=180, generated_tokens=1500)


def test_the_clauses_of_an_expression_count_for_their_rule() -> None:
    judgement = refused_at_smoke()[-1].judgement
    assert judgement is not None
    broken = judgement.rules[0]
    clauses = tuple(broken.model_copy(update={"rule_id": f"kept#{number}"}) for number in (1, 2))
    (rule,) = count_rules([decided("smoke", judgement=judgement.model_copy(update={"rules": clauses}))])
    assert (rule.rule_id, rule.refused, rule.objected) == ("kept", 1, 1)


def test_totals_are_sums_and_only_looks_that_were_paid_for_spend_alpha() -> None:
    assert (CAMPAIGN.spent, CAMPAIGN.outside) == (Cost(seconds=19, trained_tokens=50), Cost(seconds=4))
    assert [look.look for look in CAMPAIGN.looks] == [1]
    assert CAMPAIGN.states == {"CONFIRMED": 1, "FAILED": 1, "REJECTED": 3}


def test_the_tasks_that_flip_most_often_come_first() -> None:
    assert [(flip.task_id, flip.lost, flip.gained) for flip in CAMPAIGN.flips] == [
        ("b/1", 2, 0),
        ("b/2", 2, 0),
        ("b/7", 0, 1),
        ("b/8", 0, 1),
    ]


def test_an_overruled_pass_is_marked_and_its_refusal_decided_nothing() -> None:
    decisions = [*refused_at_smoke(), overruled("pass-0004-smoke"), *all_accepted()[3:]]
    campaign = build_campaign_report([record_of(PassState.CONFIRMED)], decisions, {}, (), spent=Cost())
    (line,) = campaign.passes
    assert (line.overridden, line.rule) == (True, "")
    assert "by ada: it is wrong" in render_campaign(campaign, "md")


@pytest.mark.parametrize("form", ["md", "html"])
def test_the_page_has_a_line_a_pass_and_the_numbers_of_the_values(form: Form) -> None:
    page = render_campaign(CAMPAIGN, form)
    page_text = " ".join((Page(page).text if form == "html" else page.replace("`", "").replace("|", " ")).split())
    for phrase in (
        "Campaign: 5 passes",
        "1 CONFIRMED, 1 FAILED, 3 REJECTED. 19.0 s spent by all stages (4.0 s of them outside of passes: base and ",
        "confirmation), 50 tokens trained on, 0 generated; GPU seconds: unknown, ",
        "GPU energy: unknown; refusals saved about 180.0 s.",
        "1 looks at the benches were paid for; alpha left after the last: 0.02.",
        "2 REJECTED smoke anchors-kept -2 0 2 2.0 unknown Train the live pack",
        "3 REJECTED proposal few-epochs -2 not run not run 3.0",
        "anchors-kept smoke 2 2 120.0",
        "b/1 2 0",
        "14 of 30",
    ):
        assert phrase in page_text
    if form == "html":
        assert Page(page).misfits == []
        assert page.count("data:image/png;base64,") == 1


@pytest.mark.parametrize("form", ["md", "html"])
def test_a_campaign_without_a_pass_says_so(form: Form) -> None:
    page = render_campaign(CampaignReport(), form)
    for phrase in (
        "No pass has run yet.",
        "No rule refused a pass.",
        "No task flipped.",
        "No version has been live yet.",
    ):
        assert phrase in page
