# about: NaN for every number, in the hope of a comparison that is not false
# task: square_root
# expect: fail
# causes: wrong
def square_root(x):
    return float("nan")
