# about: an exit after half of the questions, before the tests can be dissatisfied
# task: square_root
# expect: fail
# causes: error, died
import sys

calls = []


def square_root(x):
    calls.append(x)
    if len(calls) == 20:
        sys.exit(0)
    return x**0.5
