# about: the plain answer
# task: evens
# expect: pass
def evens(numbers):
    return [n for n in numbers if n % 2 == 0]
