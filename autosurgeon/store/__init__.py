"""The memory: what was tried, measured and decided, in one SQLite file that survives being killed."""
