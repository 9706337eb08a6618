# about: sys.settrace sees every call of the server's code in this process
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, type
import sys


def spy(frame, event, argument):
    if event == "return":
        frame.f_locals.update(value=14, answer=14, got=14, wanted=-1)
    return spy


def sum_of_squares(numbers):
    sys.settrace(spy)
    return -1
