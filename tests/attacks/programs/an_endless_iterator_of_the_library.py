# about: itertools.repeat, which only a test's own loop can stop
# task: countdown
# expect: fail
# causes: timeout, memory, output, type, wrong, error
import itertools


def countdown(n):
    return itertools.repeat(n)
