"""The decision log, its verification, and the reports made from it."""
