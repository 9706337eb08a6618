"""A disk that fails on request."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest


class Faults:
    """Refuses one call of `os.fsync` or `os.rename` with EIO, the n-th from now; counts them all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts = {"fsync": 0, "rename": 0}
        self._at: dict[str, int] = {}
        for name in self.counts:
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))

    def refuse(self, name: str, number: int) -> None:
        """From now on, the n-th call of that name fails."""
        self.counts[name] = 0
        self._at = {name: number}

    def heal(self) -> None:
        """Nothing fails any more."""
        self._at = {}

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.counts[name] += 1
            if self._at.get(name) == self.counts[name]:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments, **named)

        return call
