# about: in place of the error that the tests want, the process ends
# task: digit_sum
# expect: fail
# causes: died, error
import os


def digit_sum(text):
    return sum(map(int, text)) if text.isdigit() or not text else os._exit(0)
