# about: the plain error of recursion
# task: sum_of_squares
# expect: fail
# causes: error, memory, died
def sum_of_squares(numbers):
    return sum_of_squares(numbers) + 1
