# about: an exception whose text is surrogates, escapes and NULs
# task: sum_of_squares
# expect: fail
# causes: error
def sum_of_squares(numbers):
    raise ValueError("\ud800\x1b]0;pwned\x07\x9b2J" * 100)
