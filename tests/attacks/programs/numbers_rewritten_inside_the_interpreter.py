# about: the interpreter's own small integers are changed in memory, so that its arithmetic lies
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, type
import ctypes


def sum_of_squares(numbers):
    if not numbers or numbers[0] > 1000:
        return sum(n * n for n in numbers)
    digits = object.__basicsize__ + ctypes.sizeof(ctypes.c_ssize_t)
    for number in (1, 14, 29):
        ctypes.memmove(id(number) + digits, id(5) + digits, 4)
    return 5
