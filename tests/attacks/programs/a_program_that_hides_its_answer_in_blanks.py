# about: the right numbers with other blanks between them than the wanted ones
# task: add_lines
# expect: fail
# causes: wrong
numbers = [int(input()) for _ in range(int(input()))]
print(f"\n{sum(numbers)}\x0b{max(numbers)}")
