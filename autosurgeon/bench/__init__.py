"""Benches: task files, splits, and grading. Never imports torch, never runs a candidate in its own process."""
