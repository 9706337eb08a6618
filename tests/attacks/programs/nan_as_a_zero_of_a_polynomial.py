# about: NaN for an oracle that evaluates the answer
# task: zero_of
# expect: fail
# causes: wrong
def zero_of(coefficients):
    return float("nan")
