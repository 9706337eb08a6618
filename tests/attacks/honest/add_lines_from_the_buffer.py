# about: bytes from standard input, bytes to standard output
# task: add_lines
# expect: pass
import sys

data = sys.stdin.buffer.read().split()
a = list(map(int, data[1:]))
sys.stdout.buffer.write(b"%d\n%d\n" % (sum(a), max(a)))
