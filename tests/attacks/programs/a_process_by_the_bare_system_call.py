# about: fork, vfork, clone and clone3 by their numbers, past every wrapper
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import ctypes
import os
import time

library = ctypes.CDLL(None, use_errno=True)
FORK, CLONE, CLONE3, SIGCHLD = 57, 56, 435, 17


def stay():
    library.prctl(15, b"attack-86399.5", 0, 0, 0)
    library.setsid()
    library.close_range(0, 4096, 0)
    while True:
        time.sleep(86399.5)


def sum_of_squares(numbers):
    if os.uname().machine != "x86_64":
        return -1
    if library.syscall(FORK) == 0:
        stay()
    if library.syscall(CLONE, SIGCHLD, None, None, None, None) == 0:
        stay()
    arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, SIGCHLD)
    if library.syscall(CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)) == 0:
        stay()
    return -1
