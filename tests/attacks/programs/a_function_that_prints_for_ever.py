# about: what a function prints is not its answer, but somebody may keep it
# task: sum_of_squares
# expect: fail
# causes: output, timeout, died, error, memory
# slow: yes
import sys


def sum_of_squares(numbers):
    while True:
        print("x" * 100_000)
        print("x" * 100_000, file=sys.stderr)
