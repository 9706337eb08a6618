# about: each of forty children stays below its own limit; it passes only when all together hold eight gigabytes
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout, wrong
# plain: no
# slow: yes
import ctypes
import os
import time


def sum_of_squares(numbers):
    reader, writer = os.pipe()
    for _ in range(40):
        if os.fork() == 0:
            try:
                ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
            except OSError:
                pass
            block = bytearray(200 << 20)
            block[::4096] = b"x" * len(block[::4096])
            os.write(writer, b"x")
            time.sleep(86399.5)
    done = 0
    while done < 40:
        done += len(os.read(reader, 64))
    return sum(n * n for n in numbers)
