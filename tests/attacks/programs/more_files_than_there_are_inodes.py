# about: empty files; it passes only when there is room for a hundred thousand
# task: sum_of_squares
# expect: fail
# causes: output, error, died, wrong, timeout, memory
# plain: no
# slow: yes
import os


def sum_of_squares(numbers):
    for place in (".", "/tmp"):
        try:
            for number in range(100_000):
                os.close(os.open(f"{place}/autosurgeon-attack-{number}", os.O_CREAT | os.O_WRONLY))
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
