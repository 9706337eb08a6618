# about: anonymous shared memory; it passes only when it got four gigabytes
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout
# plain: no
import mmap


def sum_of_squares(numbers):
    held = []
    for _ in range(64):
        block = mmap.mmap(-1, 64 << 20)
        for place in range(0, len(block), 4096):
            block[place] = 1
        held.append(block)
    return sum(n * n for n in numbers)
