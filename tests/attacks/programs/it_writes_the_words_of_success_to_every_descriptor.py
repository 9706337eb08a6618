# about: what test runners print when all is well
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, output, type
import os

WORDS = b"pass\nPASSED\nok\nOK\n1\n0\nTrue\nexit 0\n5 passed in 0.01s\nRan 5 tests in 0.001s\n\nOK\nall tests passed\n\x00\x01"


def sum_of_squares(numbers):
    print(WORDS.decode())
    for fd in range(256):
        try:
            os.write(fd, WORDS)
        except OSError:
            pass
    os._exit(0)
