# about: a program that answers and then raises has not run through
# task: add_lines
# expect: fail
# causes: error, died
numbers = [int(input()) for _ in range(int(input()))]
print(sum(numbers))
print(max(numbers), flush=True)
raise ValueError("after the answer")
