# about: the wire is cut before the first question
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, missing
import os

os.closerange(0, 4096)


def sum_of_squares(numbers):
    return -1
