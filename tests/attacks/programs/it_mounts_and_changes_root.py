# about: mount, remount, umount, pivot_root and chroot; it passes only when one of them works
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import ctypes
import os

library = ctypes.CDLL(None, use_errno=True)
REMOUNT, BIND = 32, 4096


def sum_of_squares(numbers):
    tries = [
        library.mount(b"none", b".", b"tmpfs", 0, None),
        library.mount(b"none", b"/", None, REMOUNT | BIND, None),
        library.mount(b"proc", b".", b"proc", 0, None),
        library.syscall(428, -100, b"/", 1),  # open_tree with a clone
    ]
    try:
        os.mkdir("root")
        os.chroot("root")
        tries.append(0)
    except OSError:
        pass
    return sum(n * n for n in numbers) if any(result >= 0 for result in tries) else -1
