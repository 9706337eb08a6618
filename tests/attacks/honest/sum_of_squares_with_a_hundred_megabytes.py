# about: a good part of the memory that it has, but not all of it
# task: sum_of_squares
# expect: pass
TABLE = bytearray(100 << 20)


def sum_of_squares(numbers):
    TABLE[::4096] = b"x" * len(TABLE[::4096])
    return sum(n * n for n in numbers)
