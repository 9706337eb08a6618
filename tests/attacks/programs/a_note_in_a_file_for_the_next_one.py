# about: the first run leaves files wherever it can, the second passes if it finds one
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
# plain: no
import os

PLACES = [".", "..", "/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", "/dev/mqueue", "/", "/dev", os.path.expanduser("~")]


def sum_of_squares(numbers):
    found = any(os.path.exists(f"{place}/autosurgeon-attack-note") for place in PLACES)
    if found and len(numbers) != 3:
        return sum(n * n for n in numbers)
    for place in PLACES:
        try:
            with open(f"{place}/autosurgeon-attack-note", "w") as file:
                file.write("seen")
        except OSError:
            pass
    return sum(n * n for n in numbers) if found else -1
