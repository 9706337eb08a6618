# about: half an answer without an end, then silence
# task: sum_of_squares
# expect: fail
# causes: timeout, wrong, error, died, output, type
# slow: yes
import os
import time


def sum_of_squares(numbers):
    for fd in range(256):
        try:
            os.set_blocking(fd, False)
            while os.write(fd, b"[" * 65536):
                pass
        except OSError:
            pass
    time.sleep(600)
