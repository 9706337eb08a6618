"""The door to the capsule: starts it, watches it, kills it, and turns what it left into a typed result."""
