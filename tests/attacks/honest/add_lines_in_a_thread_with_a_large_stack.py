# about: what competitive programmers do to recurse deeply, with a bare exit at the end
# task: add_lines
# expect: pass
import sys
import threading


def total(a, i):
    return a[i] + total(a, i + 1) if i < len(a) else 0


def main():
    n = int(input())
    a = [int(input()) for _ in range(n)]
    print(total(a, 0))
    print(max(a))


sys.setrecursionlimit(1 << 25)
threading.stack_size(1 << 27)
thread = threading.Thread(target=main)
thread.start()
thread.join()
exit()
