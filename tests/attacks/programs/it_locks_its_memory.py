# about: memory that is never swapped, and huge pages; it passes only when it can lock two hundred megabytes
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, wrong
# plain: no
import ctypes

library = ctypes.CDLL(None, use_errno=True)


def sum_of_squares(numbers):
    block = ctypes.create_string_buffer(200 << 20)
    if library.mlock(block, ctypes.c_size_t(200 << 20)) == 0:
        return sum(n * n for n in numbers)
    return -1
