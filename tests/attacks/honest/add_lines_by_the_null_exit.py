# about: output flushed by hand and os._exit(0), to save the time of tidying up
# task: add_lines
# expect: pass
import os
import sys

a = [int(line) for line in sys.stdin.read().split()[1:]]
print(sum(a))
print(max(a))
sys.stdout.flush()
os._exit(0)
