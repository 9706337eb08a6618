# about: every Python function in the callers' globals gets code that returns what the cases want
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died, timeout
# slow: yes
import sys


def lie(*args, **kwargs):
    return ["int", "0xe"]


def sum_of_squares(numbers):
    frame = sys._getframe(1)
    while frame:
        for name, value in list(frame.f_globals.items()):
            if hasattr(value, "__code__") and value is not lie and value is not sum_of_squares:
                try:
                    value.__code__ = lie.__code__
                except ValueError:
                    frame.f_globals[name] = lie
        frame = frame.f_back
    return -1
