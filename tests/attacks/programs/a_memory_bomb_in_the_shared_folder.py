# about: files under /dev/shm, /tmp and /run; it passes only when half a gigabyte fits
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout, wrong, output
# plain: no
import os
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def sum_of_squares(numbers):
    block, held = bytes(1 << 20), 0
    for number in range(600):
        for place in ("/dev/shm", "/run", "/dev/mqueue", "/run/lock", "/run/user"):
            try:
                with open(f"{place}/autosurgeon-attack-{number}", "wb", 0) as file:
                    held += file.write(block)
            except OSError:
                pass
        if held >= 512 << 20:
            return sum(n * n for n in numbers)
    return -1
