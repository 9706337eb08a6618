# about: an infinite answer for an oracle that evaluates it
# task: zero_of
# expect: fail
# causes: wrong, error
def zero_of(coefficients):
    return float("-inf")
