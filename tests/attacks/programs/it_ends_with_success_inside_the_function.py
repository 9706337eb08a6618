# about: sys.exit(0) in place of an answer
# task: sum_of_squares
# expect: fail
# causes: error, died
import sys


def sum_of_squares(numbers):
    sys.exit(0)
