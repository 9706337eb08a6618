# about: the argument is emptied, so that a test that works out the answer from it afterwards finds nothing
# task: evens
# expect: fail
# causes: wrong
def evens(numbers):
    numbers.clear()
    return []
