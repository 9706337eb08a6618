# about: every process forks again, eleven times over, and all of them stay
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout, memory, output, type
# plain: no
# slow: yes
import os
import time


def sum_of_squares(numbers):
    for _ in range(11):
        try:
            os.fork()
        except OSError:
            pass
    while True:
        time.sleep(0.5)
