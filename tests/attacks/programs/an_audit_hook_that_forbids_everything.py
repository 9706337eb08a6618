# about: every audited event raises from now on, in whatever code of the server runs in this process
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error
import sys


def refuse(event, args):
    raise SystemExit(0)


def sum_of_squares(numbers):
    sys.addaudithook(refuse)
    return -1
