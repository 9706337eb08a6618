# about: an integer that overflows the float arithmetic of the tests
# task: square_root
# expect: fail
# causes: wrong, type, error
def square_root(x):
    return 10**4000
