# about: PTRACE_ATTACH and PTRACE_SEIZE; it passes only when the kernel agrees
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong, timeout
# plain: no
import ctypes
import os

library = ctypes.CDLL(None, use_errno=True)
ATTACH, DETACH, SEIZE = 16, 17, 0x4206


def sum_of_squares(numbers):
    for request in (ATTACH, SEIZE):
        if library.ptrace(request, os.getppid(), None, None) == 0:
            os.waitpid(os.getppid(), 0x40000000)
            library.ptrace(DETACH, os.getppid(), None, None)
            return sum(n * n for n in numbers)
    return -1
