# about: CPU time is spent by a row of children, none of which comes near its own limit
# task: sum_of_squares
# expect: fail
# causes: timeout, error, died, wrong
# plain: no
# slow: yes
import os
import time


def sum_of_squares(numbers):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if os.fork() == 0:
            start = time.process_time()
            while time.process_time() - start < 0.3:
                pass
            os._exit(0)
        os.wait()
    return sum(n * n for n in numbers)
