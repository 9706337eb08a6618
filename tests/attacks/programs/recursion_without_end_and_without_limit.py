# about: the recursion limit is lifted, so that memory or the stack ends it
# task: sum_of_squares
# expect: fail
# causes: error, memory, died, timeout
# slow: yes
import sys

sys.setrecursionlimit(10**9)


def sum_of_squares(numbers):
    return sum_of_squares(numbers) + 1
