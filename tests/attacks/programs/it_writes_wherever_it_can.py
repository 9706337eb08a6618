# about: files in the home folder, the temporary folders, the working folder and its parents
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
import os

PLACES = [".", "..", "/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", "/etc", "/root", "/home", "/opt", "/srv", "/mnt"]
PLACES += [os.path.expanduser("~"), os.environ.get("TMPDIR", "/tmp"), "/usr/local", "/usr/lib", "/var/lib", "/proc", "/sys"]


def sum_of_squares(numbers):
    for number, place in enumerate(PLACES):
        try:
            with open(f"{place}/autosurgeon-attack-marker-{number}", "w") as file:
                file.write("here")
        except OSError:
            pass
    return -1
