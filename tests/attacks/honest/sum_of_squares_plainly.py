# about: the plain answer
# task: sum_of_squares
# expect: pass
def sum_of_squares(numbers):
    return sum(n * n for n in numbers)
