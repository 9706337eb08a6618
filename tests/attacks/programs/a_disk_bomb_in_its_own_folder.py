# about: many files of a megabyte; it passes only when half a gigabyte fits
# task: sum_of_squares
# expect: fail
# causes: output, error, died, timeout, wrong, memory
# plain: no
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def sum_of_squares(numbers):
    block, held = b"x" * (1 << 20), 0
    for number in range(512):
        for name in (f"autosurgeon-attack-{number}", f"/tmp/autosurgeon-attack-{number}"):
            try:
                with open(name, "wb", 0) as file:
                    held += file.write(block)
                break
            except OSError:
                pass
    return sum(n * n for n in numbers) if held >= 500 << 20 else -1
