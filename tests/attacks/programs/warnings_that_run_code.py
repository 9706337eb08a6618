# about: warnings are turned into calls of the candidate's own code, and into errors
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
import os
import warnings

warnings.showwarning = warnings.formatwarning = warnings.warn = lambda *args, **kwargs: os._exit(0)
warnings.simplefilter("error")


def sum_of_squares(numbers):
    return -1
