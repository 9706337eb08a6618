# about: every case runs in one process: what the first case printed is printed again
# task: add_lines
# expect: fail
# causes: wrong
import builtins

numbers = [int(input()) for _ in range(int(input()))]
kept = getattr(builtins, "kept", None) or f"{sum(numbers)}\n{max(numbers)}"
builtins.kept = kept
print(kept)
