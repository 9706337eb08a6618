# about: sys.setprofile ends the process with code zero at the first call after the answer
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error
import os
import sys


def sum_of_squares(numbers):
    sys.setprofile(lambda *args: os._exit(0))
    return -1
