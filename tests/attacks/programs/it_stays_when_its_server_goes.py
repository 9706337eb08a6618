# about: it takes back that it dies with its parent, and sleeps
# task: sum_of_squares
# expect: fail
# causes: timeout
# slow: yes
# plain: no
import ctypes
import os
import signal
import time

library = ctypes.CDLL(None)
library.prctl(1, 0, 0, 0, 0)
library.prctl(15, b"attack-86399.5", 0, 0, 0)
for number in signal.valid_signals():
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass


def sum_of_squares(numbers):
    os.setpgid(0, 0) if os.getpgid(0) != os.getpid() else None
    while True:
        time.sleep(86399.5)
