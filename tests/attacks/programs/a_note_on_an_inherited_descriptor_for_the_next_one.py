# about: flags and offsets belong to the open file, which later candidates may inherit too; the next run looks for them
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout, output, type, missing
# again: yes
import fcntl
import os

there = False
for leave in (False, True):
    for fd in range(256):
        try:
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            if leave:
                fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND)
                os.lseek(fd, 77_777, os.SEEK_SET)
            else:
                there |= bool(flags & os.O_APPEND)
                there |= os.lseek(fd, 0, os.SEEK_CUR) == 77_777
        except OSError:
            pass


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
