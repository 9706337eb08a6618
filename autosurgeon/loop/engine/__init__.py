"""The base of the loop: instruments, stages, limits, pauses, notifications."""
