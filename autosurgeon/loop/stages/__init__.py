"""The stages of a pass: rows, smoke, salvage, merge, bench, confirmation, watch."""
