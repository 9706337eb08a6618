"""The incident, replayed by real training, and its causes."""
