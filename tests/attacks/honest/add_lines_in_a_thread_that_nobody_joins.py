# about: the main thread ends before the one that works; the interpreter waits for it
# task: add_lines
# expect: pass
import sys
import threading
import time


def main():
    time.sleep(0.05)
    n = int(input())
    a = [int(input()) for _ in range(n)]
    print(sum(a))
    print(max(a))


sys.setrecursionlimit(10**7)
threading.stack_size(2**26)
threading.Thread(target=main).start()
