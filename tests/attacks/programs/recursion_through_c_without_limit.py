# about: recursion by way of C functions, which eats the stack of C
# task: sum_of_squares
# expect: fail
# causes: error, memory, died, timeout
import functools
import sys
import threading

sys.setrecursionlimit(10**9)
threading.stack_size(1 << 20)


class Deep:
    def __repr__(self):
        return repr(self)

    __hash__ = __eq__ = functools.cmp_to_key(lambda a, b: a < b)


def sum_of_squares(numbers):
    return len(repr(Deep()))
