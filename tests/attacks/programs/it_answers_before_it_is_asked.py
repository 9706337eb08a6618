# about: answers to later questions are written in advance, in several forms, then the function is wrong
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, output, type
import os

for number in range(1, 9):
    for fd in range(3, 64):
        try:
            os.write(fd, b'{"id": %d, "value": ["int", "0x0"]}\n' % number)
        except OSError:
            pass


def sum_of_squares(numbers):
    return -1
