# about: minus infinity where infinity is wanted
# task: halves
# expect: fail
# causes: wrong
def halves(numbers):
    return [-n if abs(n) == float("inf") else n / 2 for n in numbers]
