# about: SIGABRT by os.abort
# task: sum_of_squares
# expect: fail
# causes: died
import os


def sum_of_squares(numbers):
    os.abort()
