"""The URI of a file, for libraries that take a URI instead of a path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode


def file_uri(path: Path, **parameters: str) -> str:
    """Return the `file:` URI of a path with any characters, with the parameters as its query."""
    return f"{path.absolute().as_uri()}?{urlencode(parameters)}" if parameters else path.absolute().as_uri()
