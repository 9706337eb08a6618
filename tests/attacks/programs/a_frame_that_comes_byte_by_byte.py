# about: sixteen megabytes are announced and come in single bytes, each of which wakes the reader
# task: sum_of_squares
# expect: fail
# causes: timeout, wrong, error, output, type
# slow: yes
import os
import struct


def sum_of_squares(numbers):
    for fd in range(3, 64):
        try:
            os.write(fd, struct.pack(">I", 16 << 20))
            while True:
                os.write(fd, b" ")
        except OSError:
            pass
