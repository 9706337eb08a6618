# about: the interpreter may not go deeper than where the candidate stands, nor write long integers
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
import sys


def sum_of_squares(numbers):
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    sys.set_int_max_str_digits(640)
    for room in range(1, 60):
        try:
            sys.setrecursionlimit(depth + room)
            break
        except RecursionError:
            pass
    return -1
