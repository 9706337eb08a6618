# about: as many sleeping processes as the system gives, up to two thousand; it passes when it got them all
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout, memory
# plain: no
import ctypes
import os
import time


def sum_of_squares(numbers):
    made = 0
    while made < 2000:
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            try:
                ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
            finally:
                time.sleep(86399.5)
        made += 1
    return sum(n * n for n in numbers) if made == 2000 else -1
