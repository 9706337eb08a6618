# about: it seeds the random generator, reads the clock and leaves a generator half used
# task: sum_of_squares
# expect: pass
import random
import time

random.seed(time.time_ns())
ticks = iter(range(10**9))


def sum_of_squares(numbers):
    next(ticks)
    order = list(numbers)
    random.shuffle(order)
    return sum(n * n for n in order)
