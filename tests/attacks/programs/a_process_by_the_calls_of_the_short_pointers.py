# about: fork by the numbers of the x32 kind
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import ctypes
import os
import time

library = ctypes.CDLL(None, use_errno=True)


def sum_of_squares(numbers):
    if os.uname().machine == "x86_64" and library.syscall(0x40000000 + 57) == 0:
        library.prctl(15, b"attack-86399.5", 0, 0, 0)
        os.setsid()
        os.closerange(0, 4096)
        time.sleep(86399.5)
    return -1
