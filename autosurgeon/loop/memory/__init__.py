"""The memory as a whole: whether it fits the folder, restoring it, backups."""
