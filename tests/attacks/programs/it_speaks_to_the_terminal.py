# about: input is pushed into the controlling terminal, for the shell that started the grader
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import fcntl
import os

PUSH = 0x5412  # TIOCSTI


def sum_of_squares(numbers):
    doors = list(range(10))
    for path in ("/dev/tty", "/dev/console", "/dev/pts/0", "/dev/tty0"):
        try:
            doors.append(os.open(path, os.O_RDWR | os.O_NOCTTY))
        except OSError:
            pass
    for door in doors:
        try:
            fcntl.ioctl(door, PUSH, b"\x00")
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
