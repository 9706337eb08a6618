# about: every builtin is deleted, so that whatever runs next in this process has none
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died
import builtins


def sum_of_squares(numbers):
    builtins.__dict__.clear()
    return -1
