"""The corpus is data: pytest reads it through `corpus.py` and never imports it."""

from __future__ import annotations

collect_ignore = ["programs", "honest"]
