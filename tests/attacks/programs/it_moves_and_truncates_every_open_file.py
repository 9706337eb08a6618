# about: offsets and contents of inherited files are shared with whoever opened them
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout, syntax, missing
# again: yes
import os


def sum_of_squares(numbers):
    for fd in range(256):
        for change in (
            lambda fd: os.pwrite(fd, b'{"kind": "function", "source": "def f(x): return 14"}', 0),
            lambda fd: os.ftruncate(fd, 0),
            lambda fd: os.lseek(fd, 1 << 40, os.SEEK_SET),
        ):
            try:
                change(fd)
            except OSError:
                pass
    return -1
