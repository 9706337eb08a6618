# about: it passes only when a file of the standard library, compiled or not, opens for writing
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
import glob
import os
import sys


def sum_of_squares(numbers):
    home = os.path.dirname(os.__file__)
    paths = [os.__file__, sys.executable, *glob.glob(f"{home}/__pycache__/*.pyc")[:50], *sys.orig_argv]
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY))
            return sum(n * n for n in numbers)
        except OSError:
            pass
        try:
            os.utime(path)
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
