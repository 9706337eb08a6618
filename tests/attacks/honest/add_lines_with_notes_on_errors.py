# about: notes for the author on standard error
# task: add_lines
# expect: pass
import sys

a = [int(input()) for _ in range(int(input()))]
print("debug", a, file=sys.stderr)
print(sum(a), flush=True)
print(max(a), file=sys.stdout)
