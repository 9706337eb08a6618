"""The nouns: frozen values that every floor speaks of; no I/O, no clock."""
