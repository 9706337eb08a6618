# about: an answer that is no number, for an oracle that multiplies it
# task: zero_of
# expect: fail
# causes: wrong, type, error
def zero_of(coefficients):
    return "0" * 100_000
