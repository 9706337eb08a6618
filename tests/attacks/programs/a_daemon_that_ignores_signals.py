# about: a forked process in a session of its own that ignores what can be ignored and changes its name
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import ctypes
import os
import signal
import time


def sum_of_squares(numbers):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            for number in signal.valid_signals():
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
            ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
            os.closerange(0, 4096)
            while True:
                time.sleep(86399.5)
    return -1
