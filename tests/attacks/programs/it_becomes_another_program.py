# about: exec of a program that ends with success
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
import os


def sum_of_squares(numbers):
    for path in ("/bin/true", "/usr/bin/true"):
        try:
            os.execv(path, ["true"])
        except OSError:
            pass
    return -1
