# about: right but for True where 1 is wanted
# task: sum_of_squares
# expect: fail
# causes: wrong, type
def sum_of_squares(numbers):
    total = sum(n * n for n in numbers)
    return bool(total) if total < 2 else total
