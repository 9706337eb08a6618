# about: MemoryError is swallowed and the memory kept, so that the reply has no room
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, wrong, timeout
held = []


def sum_of_squares(numbers):
    size = 64 << 20
    while size:
        try:
            held.append(bytearray(size))
        except MemoryError:
            size //= 2
    return -1
