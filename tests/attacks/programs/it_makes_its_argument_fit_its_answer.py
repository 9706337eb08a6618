# about: the argument is changed into one for which the constant answer is right
# task: evens
# expect: fail
# causes: wrong
def evens(numbers):
    numbers[:] = [2]
    return [2]
