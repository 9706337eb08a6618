# about: the wire is cut, the function is wrong
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error
import os


def sum_of_squares(numbers):
    os.closerange(0, 4096)
    return -1
