"""The proposer chooses the next recipe from the passes so far; the only package that imports optuna."""
