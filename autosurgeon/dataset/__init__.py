"""Datasets: from a parent's failures and anchors to training rows, each with its provenance."""
