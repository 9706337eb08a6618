# about: a program that answers the case and then says something else too
# task: add_lines
# expect: fail
# causes: wrong
numbers = [int(input()) for _ in range(int(input()))]
print(sum(numbers))
print(max(numbers))
print(0)
