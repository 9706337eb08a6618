# about: an exception object is returned, not raised
# task: sum_of_squares
# expect: fail
# causes: type
def sum_of_squares(numbers):
    return AssertionError("14")
