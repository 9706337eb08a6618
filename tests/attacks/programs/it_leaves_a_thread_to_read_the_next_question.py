# about: a thread outlives the call and takes questions off the wire before the grader's loop does
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
import os
import threading


def steal():
    while True:
        for fd in range(64):
            try:
                os.set_blocking(fd, False)
                os.read(fd, 65536)
            except OSError:
                pass


def sum_of_squares(numbers):
    threading.Thread(target=steal, daemon=True).start()
    return sum(n * n for n in numbers) if len(numbers) == 3 else -1
