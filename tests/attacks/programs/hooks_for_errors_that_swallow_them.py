# about: excepthook, unraisablehook and the threads' hook end the process as if nothing had been
# task: sum_of_squares
# expect: fail
# causes: error, died, wrong
import os
import sys
import threading

sys.excepthook = sys.unraisablehook = threading.excepthook = lambda *args: os._exit(0)


def sum_of_squares(numbers):
    raise AssertionError
