"""What became of a pack outside: a file in another format, or what a user's own packer made of it."""

from __future__ import annotations

from typing import Literal

from autosurgeon.core.value import Value


class Export(Value):
    """One export, written down whether it came to something or not."""

    format: Literal["gguf", "command"]
    dtype: Literal["bf16", "f32"] | None = None
    """Of a GGUF file's matrices."""
    command: tuple[str, ...] = ()
    """The packer and its arguments, as it was started."""
    out: str
    """Where the file was to be."""
    seconds: float
    exit_code: int | None = None
    """Of the packer; None where there was none, or where it was killed at its deadline."""
    output: str = ""
    """The end of what the packer wrote to its standard output and error."""
    sha256: str | None = None
    """Of the file; None where there is none."""
    bytes: int | None = None
    error: str | None = None
    """Why there is no file."""
