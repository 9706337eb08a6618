# about: what competitive programmers do to recurse deeply
# task: sum_of_squares
# expect: pass
import sys
import threading

sys.setrecursionlimit(1 << 20)
threading.stack_size(64 << 20)


def depth(n):
    return n if n == 0 else 1 + depth(n - 1)


def sum_of_squares(numbers):
    found = []
    thread = threading.Thread(target=lambda: found.append(depth(20_000) + sum(n * n for n in numbers)))
    thread.start()
    thread.join()
    return found[0] - 20_000
