# about: streams that lie, and streams that are closed, for whatever the server prints in this process
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
import sys


class Stream:
    def __getattr__(self, name):
        raise SystemExit(0)


def sum_of_squares(numbers):
    sys.stdout.close()
    sys.stdout = sys.stderr = sys.stdin = sys.__stdout__ = Stream()
    return -1
