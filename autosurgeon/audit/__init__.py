"""The decision log and the reports that people read the morning after."""
