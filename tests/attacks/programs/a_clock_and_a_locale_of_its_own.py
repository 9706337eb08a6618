# about: time, locale, random seeds and number formatting are changed
# task: halves
# expect: fail
# causes: wrong, error, died, type
import decimal
import locale
import random
import time

time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
random.random = random.randint = random.choice = lambda *args: 0
random.seed(0)
decimal.getcontext().prec = 1
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    pass


def halves(numbers):
    return [format(n / 2, "n") for n in numbers]
