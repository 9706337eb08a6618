"""Masking: prompts, programs, paths and user names, each replaced by a marker in what leaves the workspace.

The memory, its logs and the chain keep the truth. A marker holds a digest by a secret of the workspace's own: equal
values have equal markers, and whoever guesses a value cannot try the guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from autosurgeon.audit.signing import write_durably
from autosurgeon.core.decision import Decision
from autosurgeon.core.person import PersonAct
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.sections import MaskKind

V = TypeVar("V", bound=Value)
SECRET = "masking.key"
SECRET_DIGEST = "masking.sha256"
"""The digest of the secret, by which a lost or exchanged secret is noticed."""
SECRET_BYTES = 32
MARKER_DIGITS = 12
WHOLE = {"prompt": "prompt", "prompts": "prompt", "before": "program", "after": "program", "detail": "check"}
"""By field, what it is called where `prompts` are masked; what a check said may quote the program and its answers."""
USERS = {"by", "login", "sudo_claim"}
"""Fields that hold a user's name."""
PROSE = {"reason", "error", "proposer"}
"""Fields in which a user may be named among other words."""
_REST = r"""(?:[^\s"'`<>|]*?(?=(?::\d+)*[.,:;!?)\]}]*(?:[\s"'`<>|]|$)))"""
"""As far as the next blank, but for a line's number and what ends a sentence."""
_PATHS = (
    r"""(?<=["'`])(?:file:|~\w*)?/[^"'`\n]+(?=["'`])""",  # in quotes it may hold blanks
    rf"file:/+{_REST}",
    rf"(?<![\w/)\]:~])(?:~[\w.-]*)?/+[^\s/]{_REST}",
    rf"(?<=:)(?:~[\w.-]*)?/(?!/){_REST}",  # but no address: what follows is no second slash
)


class Masked(Value):
    """What was masked of one kind."""

    kind: str
    """prompt, program, check, path or user."""
    count: int
    markers: tuple[str, ...]
    """Each digest that a marker holds, once."""


class Masking(NamedTuple):
    """What a workspace wants masked, and what that takes; nothing by default."""

    kinds: frozenset[MaskKind] = frozenset()
    secret: bytes = b""
    roots: tuple[str, ...] = ()
    """Folders that are paths however they are written, blanks and all."""
    users: frozenset[str] = frozenset()

    def knowing(self, decisions: Iterable[Decision], acts: Iterable[PersonAct] = ()) -> Masking:
        """The people of these decisions and acts are users, wherever a text names them."""
        named = {name for act in acts for name in (act.who.login, act.who.sudo_claim) if name}
        return self._replace(users=self.users | named | {d.override.by for d in decisions if d.override})


def masking_of(workspace: Workspace, kinds: Collection[MaskKind]) -> Masking:
    """What the settings name; the secret is made at the first call that needs it, readable by its owner alone."""
    if not kinds:
        return Masking()
    secret = _secret(workspace.keys / SECRET, workspace.keys / SECRET_DIGEST)
    return Masking(frozenset(kinds), secret, (str(workspace.root), str(Path.home())))


def _secret(path: Path, digest: Path) -> bytes:
    """The workspace's secret; UserError where it is lost, exchanged or damaged."""
    anew = f"put {path.name} back from a backup; or remove {digest.name} as well, and markers differ from earlier ones"
    try:
        if not path.exists() and digest.exists():
            raise UserError("the secret for masking is lost", got=f"{digest.name} alone", wanted=anew, where=path)
        if not path.exists():
            write_durably(path, secrets.token_bytes(SECRET_BYTES), mode=0o600)
        secret = path.read_bytes()
        if len(secret) == SECRET_BYTES and not digest.exists():
            write_durably(digest, f"{hashlib.sha256(secret).hexdigest()}\n".encode())
        known = digest.read_bytes().strip().decode(errors="replace") if digest.exists() else ""
    except OSError as error:
        raise UserError("the secret for masking cannot be used", got=error.strerror, where=path) from error
    if len(secret) != SECRET_BYTES:
        got = f"{len(secret)} bytes, not {SECRET_BYTES}"
        raise UserError("the secret for masking is damaged", got=got, wanted=anew, where=path)
    if hashlib.sha256(secret).hexdigest() != known:
        raise UserError(
            "the secret for masking is another one", got=f"not that of {digest.name}", wanted=anew, where=path
        )
    return secret


class Mask:
    """Masks one document, and counts what it masked."""

    def __init__(self, masking: Masking) -> None:
        self._masking = masking
        self._found: dict[str, Counter[str]] = {}
        roots = [rf"{re.escape(root)}(?!\w){_REST}" for root in masking.roots if root != "/"]
        self._path = re.compile("|".join([_PATHS[0], *roots, *_PATHS[1:]]))
        names = "|".join(re.escape(name) for name in sorted(masking.users, key=len, reverse=True) if name)
        self._user = re.compile(rf"(?<!\w)(?:{names})(?!\w)") if names else None

    @property
    def found(self) -> tuple[Masked, ...]:
        """What was masked so far."""
        return tuple(
            Masked(kind=kind, count=counts.total(), markers=tuple(sorted(counts)))
            for kind, counts in sorted(self._found.items())
        )

    def value(self, value: Any, field: str = "") -> Any:
        """Any nested value, with what is to be masked in it replaced; the names of fields say what is what."""
        if isinstance(value, dict):
            # `prompts` holds them by task, whatever a task is called.
            return {key: self.value(item, field if field == "prompts" else str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)([self.value(item, field) for item in value])
        if field == "uid" and "paths" in self._masking.kinds:
            return None  # on its machine, a number names a user as well as a name does
        if not isinstance(value, str) or not value:
            return value
        if field in WHOLE and "prompts" in self._masking.kinds:
            return self._marker(WHOLE[field], value)
        if field in USERS and "paths" in self._masking.kinds:
            return self._marker("user", value)
        return self.text(value, prose=field in PROSE)

    def text(self, text: str, *, prose: bool = True) -> str:
        """A text with its paths masked; in prose the names of users too."""
        if "paths" not in self._masking.kinds:
            return text
        text = self._path.sub(lambda found: self._marker("path", found[0]), text)
        if prose and self._user:
            text = self._user.sub(lambda found: self._marker("user", found[0]), text)
        return text

    def _marker(self, kind: str, value: str) -> str:
        message = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._masking.secret, message, hashlib.sha256).hexdigest()[:MARKER_DIGITS]
        self._found.setdefault(kind, Counter())[digest] += 1
        return f"[masked {kind} {digest}]"


def masked_words(found: Iterable[Masked]) -> str:
    """What was masked, on a line: `2 path (1f..., 3a...); 1 user (9c...)`."""
    return "; ".join(f"{one.count} {one.kind} ({', '.join(one.markers)})" for one in found)


def masked_value(value: V, masking: Masking) -> V:
    """A value with a field `masked` as it may leave, and what was masked in that field."""
    if not masking.kinds:
        return value
    mask = Mask(masking)
    content = mask.value(value.model_dump())
    return type(value).model_validate(content | {"masked": mask.found})


def masked_record(record: dict[str, Any], masking: Masking) -> dict[str, Any]:
    """A JSON object as it may leave; where anything is to be masked, its `masked` lists what was."""
    if not masking.kinds:
        return record
    mask = Mask(masking)
    return {**mask.value(record), "masked": [one.model_dump(mode="json") for one in mask.found]}
