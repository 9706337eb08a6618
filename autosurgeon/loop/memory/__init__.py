"""The memory as a whole: its agreement with the workspace's folder, restoration, backups."""
