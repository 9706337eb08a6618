"""Datasets: training rows from a parent's failures and anchors, each with its provenance."""
