# about: a program that answers and then kills itself
# task: add_lines
# expect: fail
# causes: died, error
import os
import signal

numbers = [int(input()) for _ in range(int(input()))]
print(sum(numbers))
print(max(numbers), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
