"""The person who acts is determined by the operating system, never by an environment variable alone."""

from __future__ import annotations

import os
import pwd

import pytest

from autosurgeon.core.person import Person, PersonAct, current_person, person_of

NO_SUCH_UID = 3_999_999_999
NOON = "2030-01-01T12:00:00+00:00"


def test_the_person_is_the_real_user_regardless_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "mallory")
    monkeypatch.delenv("SUDO_UID", raising=False)
    person = current_person()
    assert person.uid == os.getuid()
    assert person.login == pwd.getpwuid(os.getuid()).pw_name


def test_a_user_without_a_login_is_named_by_uid() -> None:
    person = person_of(NO_SUCH_UID)
    assert (person.uid, person.login, person.name) == (NO_SUCH_UID, "", f"uid {NO_SUCH_UID}")
    assert Person().name == "unknown"


@pytest.mark.parametrize(("value", "claim"), [("0", "root"), (str(NO_SUCH_UID), f"uid {NO_SUCH_UID}")])
def test_the_user_that_sudo_names_is_recorded_as_a_claim(
    monkeypatch: pytest.MonkeyPatch, value: str, claim: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", value)
    person = current_person()
    assert (person.uid, person.login, person.sudo_claim) == (0, "root", claim)
    assert f"claims {claim}" in person.words


@pytest.mark.parametrize("value", ["", "ann", "-1", "1e3", "9" * 30, "\u0663"])
def test_a_claim_that_is_not_a_uid_is_ignored(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", value)
    assert current_person().sudo_claim == ""


def test_without_root_the_variables_of_sudo_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: NO_SUCH_UID)
    monkeypatch.setenv("SUDO_UID", "0")
    assert current_person().sudo_claim == ""


def test_an_act_names_what_it_concerns_and_accepts_any_reason() -> None:
    act = PersonAct(act="revert", who=Person(), at=NOON, reason="odd \udcff", pass_number=7, pack="ab" * 32, task="b/1")
    assert act.concerns == f"pass 7, pack {'ab' * 6}, task b/1"
    assert act.reason == "odd \\udcff"
