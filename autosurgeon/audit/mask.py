"""Masking: markers replace prompts, programs, paths and user names in everything that leaves the workspace.

The memory, its logs and the chain stay unmasked. A marker holds a digest keyed by a secret of the workspace: equal
values have equal markers, and a guess of a value cannot be checked without the secret.
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
"""The file with the digest of the secret, which reveals a lost or replaced secret."""
SECRET_BYTES = 32
MARKER_DIGITS = 12
WHOLE = {"prompt": "prompt", "prompts": "prompt", "before": "program", "after": "program", "detail": "check"}
"""Kind of marker by field, where `prompts` are masked; a check's detail may quote the program and its answers."""
USERS = {"by", "login", "sudo_claim"}
"""Fields with a user's name."""
PROSE = {"reason", "error", "proposer"}
"""Fields of prose that may name a user."""
_REST = r"""(?:[^\s"'`<>|]*?(?=(?::\d+)*[.,:;!?)\]}]*(?:[\s"'`<>|]|$)))"""
"""Matches up to the next blank, without a line number and the punctuation that ends a sentence."""
_PATHS = (
    r"""(?<=["'`])(?:file:|~\w*)?/[^"'`\n]+(?=["'`])""",  # a quoted path may hold blanks
    rf"file:/+{_REST}",
    rf"(?<![\w/)\]:~])(?:~[\w.-]*)?/+[^\s/]{_REST}",
    rf"(?<=:)(?:~[\w.-]*)?/(?!/){_REST}",  # no second slash follows, so this is not an address
)


class Masked(Value):
    """What was masked of one kind."""

    kind: str
    """prompt, program, check, path or user."""
    count: int
    markers: tuple[str, ...]
    """The distinct digests of the markers."""


class Masking(NamedTuple):
    """The kinds that a workspace masks, and the data needed for it; no kinds by default."""

    kinds: frozenset[MaskKind] = frozenset()
    secret: bytes = b""
    roots: tuple[str, ...] = ()
    """Folders whose paths are recognized even with blanks."""
    users: frozenset[str] = frozenset()

    def knowing(self, decisions: Iterable[Decision], acts: Iterable[PersonAct] = ()) -> Masking:
        """Add the people of these decisions and acts as users to mask."""
        named = {name for act in acts for name in (act.who.login, act.who.sudo_claim) if name}
        return self._replace(users=self.users | named | {d.override.by for d in decisions if d.override})


def masking_of(workspace: Workspace, kinds: Collection[MaskKind]) -> Masking:
    """Build the masking of the settings; the secret is created on first use, readable only by its owner."""
    if not kinds:
        return Masking()
    secret = _secret(workspace.keys / SECRET, workspace.keys / SECRET_DIGEST)
    return Masking(frozenset(kinds), secret, (str(workspace.root), str(Path.home())))


def _secret(path: Path, digest: Path) -> bytes:
    """Read or create the workspace's secret; UserError where it is lost, replaced or damaged."""
    restore_hint = (
        f"restore {path.name} from a backup; or remove {digest.name} too, and new markers differ from earlier ones"
    )
    try:
        if not path.exists() and digest.exists():
            raise UserError(
                "the secret for masking is lost", got=f"only {digest.name}", wanted=restore_hint, where=path
            )
        if not path.exists():
            write_durably(path, secrets.token_bytes(SECRET_BYTES), mode=0o600)
        secret = path.read_bytes()
        if len(secret) == SECRET_BYTES and not digest.exists():
            write_durably(digest, f"{hashlib.sha256(secret).hexdigest()}\n".encode())
        known = digest.read_bytes().strip().decode(errors="replace") if digest.exists() else ""
    except OSError as error:
        raise UserError("the secret for masking is unusable", got=error.strerror, where=path) from error
    if len(secret) != SECRET_BYTES:
        got = f"{len(secret)} bytes, not {SECRET_BYTES}"
        raise UserError("the secret for masking is damaged", got=got, wanted=restore_hint, where=path)
    if hashlib.sha256(secret).hexdigest() != known:
        raise UserError(
            "the secret for masking was replaced",
            got=f"a secret that {digest.name} does not match",
            wanted=restore_hint,
            where=path,
        )
    return secret


class Mask:
    """Masks one document and counts the markers."""

    def __init__(self, masking: Masking) -> None:
        self._masking = masking
        self._found: dict[str, Counter[str]] = {}
        roots = [rf"{re.escape(root)}(?!\w){_REST}" for root in masking.roots if root != "/"]
        self._path = re.compile("|".join([_PATHS[0], *roots, *_PATHS[1:]]))
        names = "|".join(re.escape(name) for name in sorted(masking.users, key=len, reverse=True) if name)
        self._user = re.compile(rf"(?<!\w)(?:{names})(?!\w)") if names else None

    @property
    def found(self) -> tuple[Masked, ...]:
        """What has been masked so far."""
        return tuple(
            Masked(kind=kind, count=counts.total(), markers=tuple(sorted(counts)))
            for kind, counts in sorted(self._found.items())
        )

    def value(self, value: Any, field: str = "") -> Any:
        """Mask a nested value; the names of fields decide what is masked how."""
        if isinstance(value, dict):
            # `prompts` maps task ids to prompts, so its keys are not field names.
            return {key: self.value(item, field if field == "prompts" else str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)([self.value(item, field) for item in value])
        if field == "uid" and "paths" in self._masking.kinds:
            return None  # a user id identifies a user on its machine as well as a name does
        if not isinstance(value, str) or not value:
            return value
        if field in WHOLE and "prompts" in self._masking.kinds:
            return self._marker(WHOLE[field], value)
        if field in USERS and "paths" in self._masking.kinds:
            return self._marker("user", value)
        return self.text(value, prose=field in PROSE)

    def text(self, text: str, *, prose: bool = True) -> str:
        """Mask the paths of a text; in prose the names of users too."""
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


def masked_summary(found: Iterable[Masked]) -> str:
    """Summarize what was masked in a line: `2 path (1f..., 3a...); 1 user (9c...)`."""
    return "; ".join(f"{one.count} {one.kind} ({', '.join(one.markers)})" for one in found)


def masked_value(value: V, masking: Masking) -> V:
    """Mask a value; its field `masked` lists what was masked."""
    if not masking.kinds:
        return value
    mask = Mask(masking)
    content = mask.value(value.model_dump())
    return type(value).model_validate(content | {"masked": mask.found})


def masked_record(record: dict[str, Any], masking: Masking) -> dict[str, Any]:
    """Mask a JSON object; where masking is on, its `masked` lists what was masked."""
    if not masking.kinds:
        return record
    mask = Mask(masking)
    return {**mask.value(record), "masked": [one.model_dump(mode="json") for one in mask.found]}
