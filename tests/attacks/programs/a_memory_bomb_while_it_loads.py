# about: the memory is asked for before the function is there
# task: sum_of_squares
# expect: fail
# causes: memory, error, died
HELD = [bytearray(64 << 20) for _ in range(256)]


def sum_of_squares(numbers):
    return sum(n * n for n in numbers)
