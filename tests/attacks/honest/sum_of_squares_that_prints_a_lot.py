# about: it prints half a megabyte of notes on both streams on the way
# task: sum_of_squares
# expect: pass
import sys


def sum_of_squares(numbers):
    for _ in range(1000):
        print("so far", numbers, "x" * 80)
        print("PASSED? no, only noise", file=sys.stderr)
    return sum(n * n for n in numbers)
