# about: two forks and a new session, all descriptors closed: a process that nobody waits for
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import ctypes
import os
import time


def sum_of_squares(numbers):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
            os.closerange(0, 4096)
            time.sleep(86399.5)
        os._exit(0)
    return -1
