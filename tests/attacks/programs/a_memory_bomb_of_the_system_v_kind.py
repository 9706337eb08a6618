# about: System V segments outlive every process; it passes only when it got a gigabyte of them
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout, wrong
# plain: no
import ctypes

library = ctypes.CDLL(None, use_errno=True)
library.shmat.restype = ctypes.c_void_p
CREATE = 0o1000 | 0o666


def sum_of_squares(numbers):
    got = 0
    for number in range(64):
        segment = library.shmget(0x61757430 + number, ctypes.c_size_t(16 << 20), CREATE)
        if segment >= 0:
            got += 1
    return sum(n * n for n in numbers) if got == 64 else -1
