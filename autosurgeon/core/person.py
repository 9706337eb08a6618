"""People: who acts on a workspace, and what each act is, as one kind of entry in the chain of events."""

from __future__ import annotations

import os
import pwd
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from autosurgeon.core.value import Value

KIND = "person"
"""The kind of the event; its subject is the act."""
Act = Literal[
    "override",
    "revert",
    "quarantine",
    "pin",
    "unpin",
    "gc",
    "pause",
    "resume",
    "stop",
    "rotate-key",
    "restore",
    "policy",
    "supersede",
]
ACTS: tuple[str, ...] = get_args(Act)
SUDO_UID = "SUDO_UID"
_LONGEST_UID = 10


class Person(Value):
    """Who acts, by the operating system."""

    uid: int | None = None
    """The real user id of the process; None if unknown: a signal, or a record with names only."""
    login: str = ""
    """The name of that uid in the password database; empty if it has none."""
    sudo_claim: str = ""
    """Under sudo, the user that SUDO_UID names; a claim, since an environment variable can hold anything."""

    _spell = field_validator("login", "sudo_claim", mode="before")(lambda value: spelled(value))

    @property
    def name(self) -> str:
        """The login, or the uid if there is no login."""
        return self.login or ("unknown" if self.uid is None else f"uid {self.uid}")

    @property
    def words(self) -> str:
        """The name, with the claim marked as one."""
        return f"{self.name} (by sudo, which claims {self.sudo_claim})" if self.sudo_claim else self.name


class PersonAct(Value):
    """One thing that a person does to a workspace."""

    act: str
    """One of ACTS; any other text is the act of a newer version."""
    who: Person
    at: str
    """UTC, ISO 8601."""
    reason: str = ""
    until: str | None = None
    """UTC, ISO 8601; after it the act has no effect. None if the act does not expire."""
    pass_number: int | None = None
    pack: str | None = None
    task: str | None = None
    decision: str | None = None
    """The decision that the same transaction writes."""
    detail: dict[str, Any] = Field(default_factory=dict)
    """JSON of the act's own: what a collection removes, the statement of a key's rotation."""

    _spell = field_validator("reason", "task", mode="before")(lambda value: spelled(value))

    @property
    def concerns(self) -> str:
        """What the act concerns, or what it came by, in words; empty if it concerns the workspace as a whole."""
        parts = (
            f"pass {self.pass_number}" if self.pass_number is not None else "",
            f"pack {self.pack[:12]}" if self.pack else "",
            f"task {self.task}" if self.task else "",
            str(self.detail.get("verdict", "")),
            str(self.detail.get("cause", "")),
            str(self.detail.get("takes_up", "")),
        )
        return ", ".join(part for part in parts if part)


def person_of(uid: int) -> Person:
    """Return the user of a uid, by the password database."""
    return Person(uid=uid, login=_login_of(uid))


def current_person() -> Person:
    """Return the real user of this process; LOGNAME and USER are not read, because anyone can set them."""
    person = person_of(os.getuid())
    claimed = os.environ.get(SUDO_UID, "")
    if person.uid != 0 or not (claimed.isascii() and claimed.isdigit() and len(claimed) <= _LONGEST_UID):
        return person
    return person.model_copy(update={"sudo_claim": _login_of(int(claimed)) or f"uid {claimed}"})


def spelled(value: Any) -> Any:
    """Return a text with lone surrogates escaped, which UTF-8 cannot encode; any other value unchanged."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _login_of(uid: int) -> str:
    try:
        return str(spelled(pwd.getpwuid(uid).pw_name))
    except (KeyError, OverflowError):
        return ""
