# about: an empty function
# task: sum_of_squares
# expect: fail
# causes: wrong, type
def sum_of_squares(numbers):
    """Sum of squares."""
