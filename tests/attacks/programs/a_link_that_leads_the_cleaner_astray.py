# about: links in the working folder to a folder of somebody else, for whoever removes or repairs it afterwards
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
# again: yes
import os


def sum_of_squares(numbers):
    for number, target in enumerate(("/tmp/autosurgeon-attack-victim", "/", "..", "/proc/self/root", "/etc/passwd")):
        for name in (f"autosurgeon-attack-link-{number}", f"/tmp/autosurgeon-attack-link-{number}"):
            try:
                os.symlink(target, name)
            except OSError:
                pass
    return -1
