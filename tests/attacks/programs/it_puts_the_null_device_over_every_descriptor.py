# about: reads end at once and writes vanish
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout
import os


def sum_of_squares(numbers):
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(64):
        if fd != null:
            try:
                os.dup2(null, fd)
            except OSError:
                pass
    return -1
