"""Statistics of paired results: pure functions of counts."""
