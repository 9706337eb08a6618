# about: it knows the first cases and guesses the rest
# task: sum_of_squares
# expect: fail
# causes: wrong
def sum_of_squares(numbers):
    return {(1, 2, 3): 14, (): 0, (1,): 1}.get(tuple(numbers), 0)
