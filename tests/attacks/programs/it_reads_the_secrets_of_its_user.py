# about: it passes only when the password file of the system or a key of the home folder can be read
# task: sum_of_squares
# expect: fail
# causes: wrong, error
# plain: no
import glob
import os


def sum_of_squares(numbers):
    places = ["/etc/shadow", "/root/.bashrc", "/root/.profile", "/proc/1/environ", "/proc/kcore", "/dev/mem"]
    places += glob.glob("/root/.ssh/*") + glob.glob("/home/*/.ssh/*") + glob.glob(os.path.expanduser("~/.netrc"))
    for place in places:
        try:
            with open(place, "rb") as file:
                if place != "/proc/1/environ" or b"autosurgeon" in file.read().lower():
                    return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
