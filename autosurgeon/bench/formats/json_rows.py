"""Files of JSON rows, plain or gzipped, read one row at a time; their content is untrusted."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from autosurgeon.errors import UserError

MAX_ROW_BYTES = 256 << 20
"""A row of a benchmark file, or a whole file that is one JSON array. LiveCodeBench has rows of tens of MiB."""

_WANTED = "one JSON object a line"
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One JSON object of a file and its place there: `file:line`, or `file[index]` in an array."""

    where: str
    line: int
    content: dict[str, Any]

    def misfit(self, field: str, got: object, wanted: object) -> UserError:
        """The error that refuses this row for one of its fields, or for something inside it (`cases.0.given`)."""
        return misfit(self.where, field, got, wanted)

    def value(self, field: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        """A field that must be there and of a kind; UserError for anything else. True is no number."""
        got = self.content.get(field)
        if not isinstance(got, kind) or (isinstance(got, bool) and kind is not bool):
            raise self.misfit(field, shown(got) if field in self.content else "nothing", wanted)
        return got

    def text(self, field: str, default: str | None = None) -> str:
        """A field of text; the default, if there is one, where the field is absent or null."""
        if default is not None and self.content.get(field) is None:
            return default
        got: str = self.value(field, str, "text")
        return self.sound(field, got)

    def texts(self, field: str, default: list[str] | None = None) -> list[str]:
        """A field that is a list of texts; the default, if there is one, where the field is absent or null."""
        if default is not None and self.content.get(field) is None:
            return default
        got = self.items(field)
        for index, item in enumerate(got):
            if not isinstance(item, str):
                raise self.misfit(f"{field}.{index}", shown(item), "text")
            self.sound(f"{field}.{index}", item)
        return got

    def items(self, field: str) -> list[Any]:
        """A field that is a list of anything."""
        got: list[Any] = self.value(field, list, "a list")
        return got

    def sound(self, field: str, text: str) -> str:
        """The text, if it can be written as UTF-8: JSON can spell a lone surrogate, a file or a pipe cannot."""
        if not is_sound(text):
            raise self.misfit(field, "a lone surrogate", "text that UTF-8 can write")
        return text


def misfit(where: str, field: str, got: object, wanted: object = None) -> UserError:
    """The error for a row that does not fit; a field's name may be a stranger's too."""
    name = field[:80].encode("utf-8", "backslashreplace").decode("utf-8")
    return UserError(f"a row does not fit: {name}", got=got, wanted=wanted, where=where)


def shown(value: object) -> str:
    """The start of a value, in ASCII, for a message."""
    try:
        return ascii(value)[:60]
    except (ValueError, RecursionError):  # a huge integer, a deep list
        return f"a {type(value).__name__} too large to show"


def is_sound(text: str) -> bool:
    """Whether UTF-8 can write it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_rows(path: Path, *, array: bool = False, most: int = MAX_ROW_BYTES) -> Iterator[Row]:
    """The rows of a JSONL file, plain or .gz by its first bytes, in constant memory; UserError for what is none.

    With `array`, a file that is one JSON array is read too, as a whole. `most` bounds a line and an array, in bytes
    after unpacking. Blank lines are fine at the end and nowhere else.
    """
    blank = 0
    for line, raw in _read_lines(path, most, array):
        if not raw.strip():
            blank = blank or line
            continue
        if blank:
            raise misfit(f"{path}:{blank}", "row", "a blank line", _WANTED)
        if line == 1 and not array and raw.lstrip().startswith(b"["):
            raise misfit(f"{path}:{line}", "row", "a JSON array", _WANTED)
        parsed = _parse(raw, f"{path}:{line}")
        if line == 1 and array and isinstance(parsed, list):
            yield from (_row(item, f"{path}[{index}]", index + 1) for index, item in enumerate(parsed))
        else:
            yield _row(parsed, f"{path}:{line}", line)


def _row(parsed: object, where: str, line: int) -> Row:
    if not isinstance(parsed, dict):
        got = "a JSON array" if isinstance(parsed, list) else shown(parsed)
        raise misfit(where, "row", got, _WANTED)
    return Row(where, line, parsed)


def _parse(raw: bytes, where: str) -> object:
    try:
        return json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise misfit(where, "row", f"byte {raw[error.start]:#04x} at {error.start}", "UTF-8") from error
    except ValueError as error:  # no JSON, or an integer of more digits than Python reads
        raise misfit(where, "row", error, _WANTED) from error
    except RecursionError as error:
        raise misfit(where, "row", "values nested too deep", _WANTED) from error


def _read_lines(path: Path, most: int, array: bool) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; an array, where one is allowed, counts as the first line."""
    line = 0
    try:
        with contextlib.ExitStack() as stack:
            stream = _opened(path, stack)
            while raw := stream.readline(most + 1):
                line += 1
                if line == 1:
                    raw = raw.removeprefix(_BOM)
                    if array and raw.lstrip().startswith(b"["):
                        raw += stream.read(max(most + 1 - len(raw), 0))
                if len(raw) > most:
                    raise misfit(f"{path}:{line}", "row", f"more than {most} bytes", "a row of at most so many")
                yield line, raw
    except (OSError, EOFError, zlib.error) as error:
        where = f"{path}:{line + 1}" if line else path
        raise UserError("a file cannot be read", got=error, where=where) from error


def _opened(path: Path, stack: contextlib.ExitStack) -> IO[bytes]:
    raw = stack.enter_context(path.open("rb"))
    if raw.peek(2)[:2] != _GZIP:
        return raw
    return cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb")))
