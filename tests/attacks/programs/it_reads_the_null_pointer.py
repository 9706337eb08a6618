# about: a segmentation fault in C
# task: sum_of_squares
# expect: fail
# causes: died, error
import ctypes


def sum_of_squares(numbers):
    return ctypes.string_at(0)
