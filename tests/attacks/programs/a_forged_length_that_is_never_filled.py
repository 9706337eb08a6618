# about: a prefix that announces four gigabytes, then a little, then the end
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, output, type, timeout
import os


def sum_of_squares(numbers):
    for fd in range(3, 256):
        for prefix in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"4294967295\n"):
            try:
                os.write(fd, prefix + b"x" * 100)
            except OSError:
                pass
    os._exit(0)
