# about: the candidate ends at once; a child that it forked keeps the wire and speaks on
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout, output, type
# plain: no
import ctypes
import os
import time


def sum_of_squares(numbers):
    if os.fork():
        os._exit(0)
    ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
    time.sleep(0.2)
    for fd in range(3, 256):
        try:
            os.write(fd, b'{"value": ["int", "0xe"]}\n' * 5)
        except OSError:
            pass
    time.sleep(86399.5)
