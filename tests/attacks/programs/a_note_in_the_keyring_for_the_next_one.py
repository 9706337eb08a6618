# about: a key in the kernel's keyrings of the user and the session: the second run passes if it finds it
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
# plain: no
import ctypes
import os

library = ctypes.CDLL(None, use_errno=True)
library.syscall.restype = ctypes.c_long
ADD, CONTROL, SEARCH, SESSION, USER, PROCESS_USER_SESSION = 248, 250, 10, -3, -4, -5
there = False
if os.uname().machine == "x86_64":
    for ring in (SESSION, USER, PROCESS_USER_SESSION):
        there |= library.syscall(CONTROL, SEARCH, ring, b"user", b"autosurgeon-attack", 0) >= 0
    for ring in (SESSION, USER, PROCESS_USER_SESSION):
        library.syscall(ADD, b"user", b"autosurgeon-attack", b"seen", ctypes.c_size_t(4), ring)


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
