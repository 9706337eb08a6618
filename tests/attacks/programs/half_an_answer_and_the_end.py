# about: the process ends in the middle of an answer
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, output, type
import os


def sum_of_squares(numbers):
    for fd in range(3, 256):
        try:
            os.write(fd, b'{"value": ["in')
        except OSError:
            pass
    os._exit(0)
