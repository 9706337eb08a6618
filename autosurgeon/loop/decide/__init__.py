"""Judgements become decisions: settle, context, feedback, overrides, cost."""
