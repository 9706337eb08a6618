# about: recursion nine thousand deep, with the limit raised as is usual
# task: sum_of_squares
# expect: pass
import sys

sys.setrecursionlimit(20_000)


def depth(n):
    return n if n == 0 else 1 + depth(n - 1)


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) + depth(9000) - 9000
