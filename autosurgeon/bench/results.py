"""Result files: one JSON object per graded sample, in the order of the samples.

An interrupted run can continue: `ResultFile` returns the rows that exist and appends the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Literal, NamedTuple, Self, cast

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import from_json

from autosurgeon.bench.formats.json_rows import is_sound, read_rows, shown
from autosurgeon.bench.jail import Level
from autosurgeon.core.envelope import Poison
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError

MAX_RESULT_BYTES = 4 << 20
"""Most bytes of a row of a result file."""
ROWS_PER_FLUSH = 64
"""Rows that a killed run may have to grade again."""
_BLOCK = 1 << 20
_BEGINNING = b'{"task_id":"'


class ResultRow(Value):
    """The result of one sample."""

    task_id: str = Field(min_length=1)
    sample: int = Field(ge=0, strict=True)
    """Its index among the samples of its task, from 0."""
    verdict: Literal["pass", "fail", "infra"]
    """`infra` is not a score: the machine or the task failed, not the program."""
    cause: Poison | None
    """Why it failed, or None."""
    tier: Literal["split", "shared"]
    """`split`: tests and candidate in two processes; `shared`: in one, where a hostile candidate can cheat."""
    jail: Level
    """The level of its jail."""
    cpu_s: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
    """CPU seconds used."""
    food: int = Field(ge=0, strict=True)
    """Number of checks that held."""
    detail: str = ""
    program: str = ""
    """The first digits of the text's SHA-256, by which a continued run recognizes its samples."""

    @field_validator("task_id")
    @classmethod
    def _sound(cls, task_id: str) -> str:
        if not is_sound(task_id):
            raise ValueError("text that UTF-8 can write")
        return task_id

    @field_validator("detail")
    @classmethod
    def _made_sound(cls, detail: str) -> str:
        # It may quote the output of an untrusted program.
        return detail.encode("utf-8", "backslashreplace").decode("utf-8")

    @field_validator("cause")
    @classmethod
    def _of_a_failure(cls, cause: Poison | None, info: ValidationInfo) -> Poison | None:
        verdict = info.data.get("verdict")
        if verdict is not None and (verdict == "fail") != (cause is not None):
            raise ValueError(f"a cause belongs to a verdict of fail and to no other; the verdict is {verdict}")
        return cause


def read_results(path: Path) -> Iterator[ResultRow]:
    """Yield the rows of a result file, plain or .gz; none for an empty file.

    Reading is lazy. UserError with file, line and field for a row that does not fit, and for one that is not the next
    sample of its task (a sample twice, or one left out).
    """
    samples: dict[str, int] = {}
    for row in read_rows(path, most=MAX_RESULT_BYTES):
        try:
            result = ResultRow.model_validate(row.content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "row"
            got = "nothing" if first["type"] == "missing" else shown(first["input"])
            raise row.misfit(field, got, first["msg"]) from error
        wanted = samples.get(result.task_id, 0)
        if result.sample != wanted:
            got = f"{result.sample} of {shown(result.task_id)}" + (" again" if result.sample < wanted else "")
            raise row.misfit("sample", got, f"{wanted}, the next of this task")
        samples[result.task_id] = wanted + 1
        yield result


class ResultFile:
    """A result file to append to; a context manager that locks the file against other processes.

    Entering creates the file if it is absent. Otherwise every row is checked, and an incomplete last line is cut off,
    so that its sample is graded again. UserError, with the file unchanged, for a file of anything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        """Rows in the file, including those that are not flushed yet."""
        self._held = 0
        self._unflushed = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._file = _opened(self.path)
            extent = _extent(self._file)
            self._held = self.count = _checked(self.path, self._file, extent)
            if extent.end < extent.size:
                self._file.truncate(extent.end)
        except OSError as error:
            self._let_go()
            raise UserError("a result file cannot be opened", got=error, where=self.path) from error
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def held(self) -> Iterator[ResultRow]:
        """Yield the rows that existed when the file was opened."""
        return islice(read_results(self.path), self._held)

    def append(self, row: ResultRow) -> None:
        """Append a row; it is flushed after at most `ROWS_PER_FLUSH` more."""
        assert self._file is not None, "a result file is opened first"
        raw = json.dumps(row.model_dump(mode="json"), separators=(",", ":")).encode("ascii") + b"\n"
        if len(raw) > MAX_RESULT_BYTES:
            raise UserError("a result is too large", got=f"{len(raw)} bytes", wanted=f"at most {MAX_RESULT_BYTES}")
        self._unflushed += 1
        with self._writing():
            self._file.write(raw)
            if self._unflushed >= ROWS_PER_FLUSH:
                self._file.flush()
                self._unflushed = 0
        self.count += 1

    def close(self) -> None:
        """Write everything to the disk and close the file; UserError when the disk refuses it."""
        if self._file is None:
            return
        try:
            with self._writing():
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._let_go()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError("a result file cannot be written", got=error, where=self.path) from error

    def _let_go(self) -> None:
        if self._file is not None:
            # A failed flush was raised before, so closing may fail silently.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


class _Extent(NamedTuple):
    """The number of complete lines, the offset where they end, and the size of the file, in bytes."""

    lines: int
    end: int
    size: int


def _opened(path: Path) -> IO[bytes]:
    """Open the file for reading and appending, locked against other processes."""
    # The builtin `open` blocks on a named pipe until there is a reader.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError("results go into a file", got="a pipe or a device", where=path)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError("another run writes these results; wait for it, or name another file", where=path) from error
    except BaseException:
        os.close(descriptor)
        raise
    return cast("IO[bytes]", os.fdopen(descriptor, "a+b"))


def _extent(file: IO[bytes]) -> _Extent:
    lines = end = size = 0
    file.seek(0)
    while block := file.read(_BLOCK):
        lines += block.count(b"\n")
        if b"\n" in block:
            end = size + block.rindex(b"\n") + 1
        size += len(block)
    return _Extent(lines, end, size)


def _checked(path: Path, file: IO[bytes], extent: _Extent) -> int:
    """Return the number of rows; UserError when a complete line is not a row, or nothing in the file is a result."""
    file.seek(0)
    if file.read(2) == b"\x1f\x8b":
        raise UserError("a result file cannot be continued", got="a compressed file", wanted="plain", where=path)
    count = sum(1 for _ in islice(read_results(path), extent.lines))
    if count < extent.lines:
        raise UserError("a result file cannot be continued", got="blank lines at its end", where=path)
    torn = extent.size - extent.end
    file.seek(extent.end)
    if torn > MAX_RESULT_BYTES or (count == 0 and torn and not _begins_a_row(file.read(torn))):
        raise UserError("this is no result file, and is left as it is; name another", where=path)
    return count


def _begins_a_row(torn: bytes) -> bool:
    """Return whether an incomplete line is the beginning of a row as `append` writes it."""
    names = list(ResultRow.model_fields)
    if not torn.startswith(_BEGINNING[: len(torn)]):
        return False
    try:
        fields = from_json(torn, allow_partial="trailing-strings")
    except ValueError:
        return False
    whole = torn.endswith(b"}") and _is_json(torn)
    return list(fields) == (names if whole else names[: len(fields)])


def _is_json(raw: bytes) -> bool:
    try:
        from_json(raw)
    except ValueError:
        return False
    return True
