# about: exec of Python with a program that writes answers on every descriptor it inherits
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong, output, type
import os
import sys

PROGRAM = """
import os
for fd in range(3, 64):
    try:
        os.write(fd, b'{"value": ["int", "0xe"]}\\n' * 5)
    except OSError:
        pass
"""


def sum_of_squares(numbers):
    for fd in range(64):
        try:
            os.set_inheritable(fd, True)
        except OSError:
            pass
    for path in (sys.executable, "/usr/bin/python3"):
        try:
            os.execv(path, [path, "-c", PROGRAM])
        except OSError:
            pass
    return -1
