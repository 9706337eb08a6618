# about: whatever waits on an open descriptor may be the next question, or the wanted answer
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
import os
import re


def sum_of_squares(numbers):
    seen = b""
    for fd in range(256):
        try:
            os.set_blocking(fd, False)
            seen += os.read(fd, 1 << 20)
        except OSError:
            pass
        try:
            seen += os.pread(fd, 1 << 20, 0)
        except OSError:
            pass
    found = re.search(rb"wanted\W+(\d+)", seen)
    return int(found[1]) if found else -1
