# about: after a fork both sides go on answering, out of step with the questions
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout, output, type
# plain: no
import os


def sum_of_squares(numbers):
    os.fork()
    return -1
