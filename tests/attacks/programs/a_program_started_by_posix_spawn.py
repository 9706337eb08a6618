# about: spawning without a fork that Python sees
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import os


def sum_of_squares(numbers):
    for path in ("/bin/sleep", "/usr/bin/sleep"):
        try:
            os.posix_spawn(path, ["sleep", "86399.5"], {}, setpgroup=0)
        except OSError:
            pass
    return -1
