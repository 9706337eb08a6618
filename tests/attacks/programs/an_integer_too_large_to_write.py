# about: an integer of millions of digits, so that whoever writes it in decimal is busy or raises
# task: sum_of_squares
# expect: fail
# causes: wrong, output, type
def sum_of_squares(numbers):
    return 1 << 20_000_000
