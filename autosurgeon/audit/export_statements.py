"""`audit export`: a bundle of signed in-toto statements per pack, and the key that verifies them without this package.

A bundle follows in-toto: a file `<pack>.intoto.jsonl` with one DSSE envelope per line, since a statement has one
predicate type. The same memory gives the same bytes: times are recorded ones, and Ed25519 is deterministic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from autosurgeon.audit.intoto import PAYLOAD_TYPE, Known, LeftOut, Predicate, predicates_of, statement_of
from autosurgeon.audit.keys import SignedChain, kept_keys, known_keys, signer_for
from autosurgeon.audit.mask import Mask, Masked, Masking
from autosurgeon.audit.rotation import rotation_files
from autosurgeon.audit.signing import PUBLIC, is_signed, key_bytes, open_envelope, signed, write_durably
from autosurgeon.core.decision import Decision
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pack import Manifest
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import DatasetResult, MergeStageResult, StageResult
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

MASKED = "autosurgeon_masked"
Result = TypeVar("Result", bound=StageResult)


class Memory(SignedChain, Protocol):
    """The store's packs, results and signed chain."""

    def packs(self) -> list[tuple[Manifest, int | None, str]]:
        """(manifest, pass number, time) of every pack, oldest first."""

    def passes(self) -> list[PassRecord]:
        """All passes, oldest first."""

    def decisions(self, pass_number: int | None = None) -> list[Decision]:
        """Every decision, oldest first."""

    def runs(self, pack: str) -> Mapping[str, Sequence[Envelope]]:
        """A pack's results by occasion."""

    def stage_result(self, scope: str, kind: type[Result], name: str | None = None) -> Result | None:
        """A committed stage's output."""


class Exported(Value):
    """The exported and omitted statements of one pack."""

    pack: str
    file: str | None
    """The bundle in the folder of the export; None where the pack has no statements."""
    wrote: Literal["new", "again", "same", ""]
    """`again` replaces an older export; `same` is identical to it."""
    statements: tuple[str, ...]
    """Their predicate types."""
    left_out: tuple[dict[str, str], ...]
    masked: tuple[Masked, ...]


def export(
    workspace: Workspace, store: Memory, folder: Path, masking: Masking, packs: Sequence[str] = ()
) -> list[Exported]:
    """Write a bundle per pack, and the public keys.

    Nothing is written unless every existing file is an older export of this workspace. Packs are named by their
    digests; an empty sequence exports all.

    Raises:
        UserError: a foreign file is in the folder, the folder cannot be written, or nothing is recorded yet.
        DurabilityError: a flush to the disk failed.

    """
    if store.head().size == 0:
        # A key created here would suggest a past that the memory does not hold.
        raise UserError("nothing is recorded in this workspace yet", got="an empty memory", wanted="`autosurgeon run`")
    decisions = store.decisions()
    signer, masking = signer_for(workspace, store), masking.knowing(decisions)
    passes = store.passes()
    exports, bundles = [], _keys_of(workspace.keys, signer)
    for manifest, number, at in store.packs():
        if packs and manifest.digest not in packs:
            continue
        known = _known(store, (manifest, number, at), passes, decisions)
        predicates, left_out = predicates_of(known)
        raw, masked = _bundle(known.manifest, predicates, signer, masking)
        name = f"{manifest.digest}.intoto.jsonl" if predicates else None
        if name is not None:
            bundles[name] = raw
        exports.append((manifest.digest, name, tuple(one.type for one in predicates), left_out, masked))
    keys = known_keys(workspace.keys) | {signer.public_key.keyid: signer.public_key}
    wrote = _write(folder, bundles, keys)
    return [_exported(*one, wrote.get(one[1] or "", "")) for one in exports]


def _known(
    store: Memory,
    pack: tuple[Manifest, int | None, str],
    passes: Sequence[PassRecord],
    decisions: Sequence[Decision],
) -> Known:
    manifest, number, at = pack
    ours = [record for record in passes if record.number == number or record.pack == manifest.digest]
    # A pass in state FAILED gives no verdict on a pack that another pass made as well.
    judging = [record for record in ours if record.state != PassState.FAILED] or ours
    last = judging[-1] if judging else None
    scope = pass_scope(number or 0)
    made = None if number is None else store.stage_result(scope, MergeStageResult)
    chosen = None if number is None else store.stage_result(scope, DatasetResult)
    if last is not None:
        judged = [decision for decision in decisions if decision.pass_number == last.number]
    else:
        judged = [d for d in decisions if d.action == "baseline" and d.pack == manifest.digest]
    return Known(
        manifest=manifest,
        made_at=at,
        code=made.version if made is not None and made.pack == manifest.digest else None,
        made_by=next((record for record in ours if record.number == number), None),
        rows=chosen.dataset.rows if chosen is not None and chosen.digest == manifest.lineage.dataset else None,
        runs=store.runs(manifest.digest),
        last=last,
        decisions=judged,
    )


def _bundle(
    manifest: Manifest, predicates: Sequence[Predicate], signer: CryptoSigner, masking: Masking
) -> tuple[bytes, tuple[Masked, ...]]:
    """Return the bundle's bytes and what was masked; each statement lists what was masked in it."""
    lines, all_masked = [], Mask(masking)
    for predicate in predicates:
        mask = Mask(masking)
        all_masked.value(predicate.content)
        content = mask.value(predicate.content)
        if masking.kinds:
            content[MASKED] = [one.model_dump(mode="json") for one in mask.found]
        envelope = signed(statement_of(manifest, predicate._replace(content=content)), PAYLOAD_TYPE, signer)
        lines.append(json.dumps(envelope, separators=(",", ":")) + "\n")
    return "".join(lines).encode(), all_masked.found


def _keys_of(folder: Path, signer: CryptoSigner) -> dict[str, bytes]:
    """The files that verify: the current key, earlier keys, and the statements of their rotations."""
    files = {PUBLIC: key_bytes(signer.public_key)}
    return files | {path.name: path.read_bytes() for path in (*kept_keys(folder), *rotation_files(folder))}


def _write(
    folder: Path, files: Mapping[str, bytes], keys: Mapping[str, SSlibKey]
) -> dict[str, Literal["new", "again", "same"]]:
    """Write new and changed files, the keys first: a bundle without its key cannot be verified."""
    wrote: dict[str, Literal["new", "again", "same"]] = {}
    try:
        for name, raw in files.items():
            found = (folder / name).read_bytes() if (folder / name).exists() else None
            wrote[name] = "new" if found is None else "same" if found == raw else "again"
            if found not in (None, raw) and not _is_ours(name, found or b"", keys):
                raise UserError(
                    "the export would replace a foreign file",
                    got=f"a key of another workspace in {name}"
                    if name == PUBLIC
                    else f"{name}, not signed by this key",
                    wanted="an empty folder, or one of an earlier export of this workspace",
                    where=folder,
                )
        for name, raw in files.items():
            if wrote[name] != "same":
                write_durably(folder / name, raw)
    except OSError as error:
        raise UserError("the export cannot be written", got=error.strerror, where=folder) from error
    return wrote


def _is_ours(name: str, raw: bytes, keys: Mapping[str, SSlibKey]) -> bool:
    """Whether the file is one of this workspace's keys, or holds only envelopes that one of them signed."""
    if name == PUBLIC:
        return raw in map(key_bytes, keys.values())
    try:
        envelopes = [open_envelope(line) for line in raw.splitlines()]
        return bool(raw) and all(any(is_signed(envelope, key) for key in keys.values()) for envelope in envelopes)
    except ValueError:
        return False


def _exported(
    pack: str,
    name: str | None,
    statements: tuple[str, ...],
    left_out: Sequence[LeftOut],
    masked: tuple[Masked, ...],
    wrote: Literal["new", "again", "same", ""],
) -> Exported:
    return Exported(
        pack=pack,
        file=name,
        wrote=wrote,
        statements=statements,
        left_out=tuple(one._asdict() for one in left_out),
        masked=masked,
    )
