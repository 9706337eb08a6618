# about: the candidate ends, its child never closes what it inherited, so that the end never shows
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout
# plain: no
import ctypes
import os
import time

if os.fork() == 0:
    ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
    time.sleep(86399.5)
os._exit(0)
