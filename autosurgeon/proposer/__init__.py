"""The proposer: what to try next, from what was tried. The only place that imports optuna."""
