# about: it passes only when it is the superuser of the machine, or becomes it
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import os


def sum_of_squares(numbers):
    for change in (
        lambda: os.setresuid(0, 0, 0),
        lambda: os.setuid(0),
        lambda: os.setgroups([0]),
        lambda: os.setresgid(0, 0, 0),
    ):
        try:
            change()
        except OSError:
            pass
    try:
        with open("/proc/self/status") as status:
            capable = [line for line in status if line.startswith("CapEff")]
    except OSError:
        capable = []
    return sum(n * n for n in numbers) if any(int(line.split()[1], 16) for line in capable) else -1
