"""Published benchmark files and sample files: every row a `Task` or a `Sample`, or refused by file, line and field."""
