"""The incident, replayed for real, and what did the damage."""
