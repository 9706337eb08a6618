# about: a file that is large without taking room; it passes only when it exists
# task: sum_of_squares
# expect: fail
# causes: output, error, died, wrong
# plain: no
import os
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def sum_of_squares(numbers):
    for name in ("autosurgeon-attack-sparse", "/tmp/autosurgeon-attack-sparse", "/dev/shm/autosurgeon-attack-sparse"):
        try:
            with open(name, "wb") as file:
                os.truncate(file.fileno(), 1 << 40)
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
