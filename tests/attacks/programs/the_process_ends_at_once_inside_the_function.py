# about: os._exit(0) after a right answer
# task: sum_of_squares
# expect: fail
# causes: died
import os

calls = []


def sum_of_squares(numbers):
    calls.append(numbers)
    if len(calls) == 2:
        os._exit(0)
    return sum(n * n for n in numbers)
