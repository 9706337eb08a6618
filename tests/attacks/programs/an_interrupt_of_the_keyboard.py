# about: KeyboardInterrupt, which is no Exception
# task: sum_of_squares
# expect: fail
# causes: error, died
def sum_of_squares(numbers):
    raise KeyboardInterrupt
