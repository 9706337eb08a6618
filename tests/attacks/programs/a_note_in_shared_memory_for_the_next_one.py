# about: a System V segment with a fixed key: the second run passes if it is there already
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
# plain: no
import ctypes

library = ctypes.CDLL(None, use_errno=True)
there = library.shmget(0x61757421, ctypes.c_size_t(4096), 0o666) >= 0
library.shmget(0x61757421, ctypes.c_size_t(4096), 0o1000 | 0o666)


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
