"""Comparison of two models: the tensors in their files, and their predictions on given rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from peft import PeftModel

from autosurgeon.capsule.batches import TokenRow, tokenize_rows
from autosurgeon.capsule.divergence import Divergence, bounded_batches, learned_from, predictor, score_batches
from autosurgeon.capsule.load_checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.merge import fit, read_adapter
from autosurgeon.capsule.prove_decode import use_proven_layers
from autosurgeon.capsule.workdir import Progress, beat, read_rows
from autosurgeon.core.jobs import CompareJob, CompareResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.shapes import checkpoint_shapes
from autosurgeon.errors import PackError, UserError


class Fidelity(NamedTuple):
    """The differences between the tensors in b's files and a's, each list sorted."""

    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    reshaped: tuple[str, ...]


def compare_tensors(a: Path, b: Path) -> Fidelity:
    """Compare tensor names and shapes, from the files' headers alone; PackError as for `checkpoint_shapes`."""
    shapes_a, shapes_b = checkpoint_shapes(a), checkpoint_shapes(b)
    return Fidelity(
        missing=tuple(sorted(shapes_a.keys() - shapes_b.keys())),
        foreign=tuple(sorted(shapes_b.keys() - shapes_a.keys())),
        reshaped=tuple(sorted(n for n in shapes_a.keys() & shapes_b.keys() if shapes_a[n] != shapes_b[n])),
    )


def _tokenized(job: CompareJob) -> tuple[list[TokenRow], Any]:
    """Return the tokenized rows and a's tokenizer; PackError if the two models tokenize differently."""
    pairs = [(row["prompt"], row["completion"]) for row in read_rows(job.rows)]
    tokenizer_a, tokenizer_b = open_tokenizer(job.a), open_tokenizer(job.b)
    rows = tokenize_rows(tokenizer_a, pairs, job.max_tokens, job.chat)
    if tokenizer_a.get_vocab() != tokenizer_b.get_vocab() or rows != tokenize_rows(
        tokenizer_b, pairs, job.max_tokens, job.chat
    ):
        raise PackError("two models have different tokenizers", where=f"{job.a} and {job.b}")
    return rows, tokenizer_a


def _open(folder: Path, adapter: Path | None, *, nf4: bool = False) -> Any:
    if adapter is not None:  # peft would skip tensors that do not fit with only a warning
        fit(read_adapter(adapter), checkpoint_shapes(folder), folder, adapter)
    model = open_model(folder, nf4=nf4)
    whole = (model if adapter is None else PeftModel.from_pretrained(model, str(adapter))).eval()
    use_proven_layers(whole)  # the same layers as in generation
    return whole


def compare(job: CompareJob, workdir: Path) -> CompareResult:
    """Compare the tensors of the two bases, then the predictions of both models, batch by batch.

    Where the tensors differ in name or shape, b is not run, and every completion token counts as flipped.

    Raises:
        UserError: there are no rows, or none with a completion within `max_tokens`.
        PackError: a checkpoint or adapter is incomplete or does not fit, or the tokenizers differ.

    """
    rows, tokenizer = _tokenized(job)
    batches = bounded_batches(rows, job.batch_rows, len(tokenizer))
    if not batches:
        raise UserError("there is nothing to compare on", got=f"{len(rows)} rows", where=job.rows)
    fidelity = compare_tensors(job.a, job.b)
    found = _all_flipped(batches) if any(fidelity) else _run(job, batches, tokenizer.pad_token_id, workdir)
    return CompareResult(
        **found._asdict(),
        missing_tensors=fidelity.missing,
        foreign_tensors=fidelity.foreign,
        reshaped_tensors=fidelity.reshaped,
    )


def _run(job: CompareJob, batches: list[list[TokenRow]], pad_id: int, workdir: Path) -> Divergence:
    model_a = _open(job.a, job.a_adapter, nf4=job.quantization == Quantization.NF4)
    beat(workdir)
    model_b = _open(job.b, job.b_adapter)
    beat(workdir)
    progress = Progress(workdir, sum(len(batch) for batch in batches))
    found = score_batches(predictor(model_a, pad_id), predictor(model_b, pad_id), batches, progress.step)
    progress.close()
    return found


def _all_flipped(batches: list[list[TokenRow]]) -> Divergence:
    rows = [row for batch in batches for row in batch]
    tokens = sum(len(row.ids) - learned_from(row) for row in rows)
    return Divergence(rows=len(rows), tokens=tokens, flips=tokens, flipped_rows=len(rows))
