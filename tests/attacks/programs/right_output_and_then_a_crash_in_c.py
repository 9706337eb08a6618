# about: a program that answers and then crashes the interpreter
# task: add_lines
# expect: fail
# causes: died, error
import ctypes

numbers = [int(input()) for _ in range(int(input()))]
print(sum(numbers))
print(max(numbers), flush=True)
ctypes.string_at(0)
