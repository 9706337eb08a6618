# about: the function takes its own name away and then is asked again
# task: sum_of_squares
# expect: fail
# causes: wrong, error, missing
def sum_of_squares(numbers):
    del globals()["sum_of_squares"]
    return sum(n * n for n in numbers) if len(numbers) == 3 else -1
