"""Open a checkpoint in a capsule before anything is paid for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from autosurgeon.core.jobs import OpenJob, OpenResult
from autosurgeon.core.ports import CapsuleRunner


def open_checkpoint(capsules: CapsuleRunner, folder: Path, workdir: Path | None = None) -> OpenResult:
    """Open a checkpoint as generation and training will, in a temporary folder where no other is named.

    Raises:
        UserError: config, tokenizer, tensors and model disagree.
        CapsuleError: the capsule failed.

    """
    with tempfile.TemporaryDirectory(prefix="autosurgeon-open-") as scratch:
        result = capsules.run(OpenJob(model=folder.resolve()), workdir or Path(scratch) / "open")
    assert isinstance(result, OpenResult)
    return result
