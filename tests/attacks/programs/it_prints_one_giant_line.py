# about: a program that prints two hundred megabytes without a line end, on output and on errors
# task: add_lines
# expect: fail
# causes: output, timeout, wrong, memory, error, died
# slow: yes
import sys

for _ in range(200):
    sys.stderr.write("x" * (1 << 20))
    sys.stdout.write("x" * (1 << 20))
