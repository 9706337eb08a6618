# about: an integer that overflows the float arithmetic of whoever compares it
# task: halves
# expect: fail
# causes: wrong, type, error
def halves(numbers):
    return [10**4000 for _ in numbers]
