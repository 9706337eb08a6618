# about: NotImplemented and Ellipsis, which comparisons treat in their own way
# task: sum_of_squares
# expect: fail
# causes: type, wrong
def sum_of_squares(numbers):
    return NotImplemented if len(numbers) > 1 else ...
