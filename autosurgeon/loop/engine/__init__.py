"""What everything in the loop stands on: instruments, stages, limits, pauses, notifications."""
