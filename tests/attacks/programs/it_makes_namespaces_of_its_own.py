# about: unshare of users, mounts, processes and networks; it passes only when it gets a user namespace
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import ctypes

library = ctypes.CDLL(None, use_errno=True)
USER, MOUNT, PID, NET, IPC, UTS = 0x10000000, 0x20000, 0x20000000, 0x40000000, 0x08000000, 0x04000000


def sum_of_squares(numbers):
    for flags in (USER | MOUNT, USER, MOUNT, PID, NET, IPC, UTS):
        if library.unshare(flags) == 0:
            return sum(n * n for n in numbers)
    return -1
