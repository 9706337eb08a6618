"""Starts, monitors and kills capsules, and turns their outcome files into typed results."""
