"""What to try next: the proposal and what bounds it."""
