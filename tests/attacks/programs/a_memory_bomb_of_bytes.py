# about: sixteen gigabytes of zeroes that are touched; it passes only when it got them
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout
def sum_of_squares(numbers):
    held = []
    for _ in range(256):
        block = bytearray(64 << 20)
        block[::4096] = b"x" * len(block[::4096])
        held.append(block)
    return sum(n * n for n in numbers)
