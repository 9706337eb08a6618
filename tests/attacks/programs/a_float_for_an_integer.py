# about: right but for its type
# task: sum_of_squares
# expect: fail
# causes: wrong, type
def sum_of_squares(numbers):
    return float(sum(n * n for n in numbers))
