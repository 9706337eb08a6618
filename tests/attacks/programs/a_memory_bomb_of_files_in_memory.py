# about: files without a name, written and not mapped, so that no address space is used; it passes with a gigabyte
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout, wrong, output
# plain: no
import os
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def sum_of_squares(numbers):
    block, held = bytes(1 << 20), 0
    for _ in range(1024):
        try:
            memory = os.memfd_create("autosurgeon-attack-memory")
            for _ in range(1024):
                held += os.write(memory, block)
                if held >= 1 << 30:
                    return sum(n * n for n in numbers)
        except OSError:
            continue
    return -1
