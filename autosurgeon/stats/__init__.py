"""Statistics of paired results, as pure functions of counts."""
