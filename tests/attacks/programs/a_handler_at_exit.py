# about: what is registered for the end of the process changes the result after the fact
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
import atexit
import os


@atexit.register
def say():
    for fd in range(3, 64):
        try:
            os.write(fd, b'{"value": ["int", "0xe"]}\n')
        except OSError:
            pass
    os._exit(0)


def sum_of_squares(numbers):
    return -1
