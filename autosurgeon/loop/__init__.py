"""The loop: propose, train, smoke, merge, bench, judge, settle, and begin again."""
