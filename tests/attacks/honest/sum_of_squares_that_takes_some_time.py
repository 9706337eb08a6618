# about: a good part of the time that it has, but not all of it
# task: sum_of_squares
# expect: pass
import time

start = time.process_time()
while time.process_time() - start < 0.25:
    pass


def sum_of_squares(numbers):
    return sum(n * n for n in numbers)
