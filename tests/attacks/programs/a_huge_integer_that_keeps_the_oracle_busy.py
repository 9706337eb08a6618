# about: an integer whose powers take the oracle for ever
# task: zero_of
# expect: fail
# causes: wrong, type, error, timeout, output, memory
def zero_of(coefficients):
    return 1 << (1 << 21)
