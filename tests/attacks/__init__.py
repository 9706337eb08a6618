"""Programs that want a grade they have not earned, and the proof that none gets it."""
