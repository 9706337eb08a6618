# about: a program that answers and then runs for ever
# task: add_lines
# expect: fail
# causes: timeout
# slow: yes
numbers = [int(input()) for _ in range(int(input()))]
print(sum(numbers))
print(max(numbers), flush=True)
while True:
    pass
