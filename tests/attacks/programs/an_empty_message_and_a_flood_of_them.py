# about: zero bytes mean the end to many readers; a flood of tiny messages keeps others busy
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, output, type, timeout
# slow: yes
import os
import time


def sum_of_squares(numbers):
    fds = []
    for fd in range(3, 256):
        try:
            os.write(fd, b"")
            os.set_blocking(fd, False)
            fds.append(fd)
        except OSError:
            pass
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for fd in fds:
            try:
                os.write(fd, b"\n")
            except OSError:
                pass
    return -1
