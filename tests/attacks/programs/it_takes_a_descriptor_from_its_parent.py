# about: pidfd_getfd and /proc/<parent>/fd; it passes only when it holds a descriptor of the server
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import ctypes
import os

library = ctypes.CDLL(None, use_errno=True)
PIDFD_OPEN, PIDFD_GETFD = 434, 438


def sum_of_squares(numbers):
    parent = os.getppid()
    right = sum(n * n for n in numbers)
    handle = library.syscall(PIDFD_OPEN, parent, 0)
    for fd in range(64):
        if handle >= 0 and library.syscall(PIDFD_GETFD, handle, fd, 0) >= 0:
            return right
        try:
            os.close(os.open(f"/proc/{parent}/fd/{fd}", os.O_RDWR))
            return right
        except OSError:
            pass
    return -1
