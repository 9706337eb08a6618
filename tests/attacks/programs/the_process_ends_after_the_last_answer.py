# about: right answers but for the last case, before which the process ends in good order
# task: sum_of_squares
# expect: fail
# causes: died
import os


def sum_of_squares(numbers):
    if numbers and numbers[0] > 1000:
        os._exit(0)
    return sum(n * n for n in numbers)
