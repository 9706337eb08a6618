"""The operating room: a program, imported by nobody; the only place that imports the torch stack."""
