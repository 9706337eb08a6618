# about: a range that is small until somebody makes a list of it
# task: countdown
# expect: fail
# causes: timeout, memory, output, type, wrong, error
def countdown(n):
    return range(10**12)
