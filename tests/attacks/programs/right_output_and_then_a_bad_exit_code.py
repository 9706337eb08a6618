# about: a program that answers and then ends with another code than zero
# task: add_lines
# expect: fail
# causes: error, died
import sys

numbers = [int(input()) for _ in range(int(input()))]
print(sum(numbers))
print(max(numbers), flush=True)
sys.exit(3)
