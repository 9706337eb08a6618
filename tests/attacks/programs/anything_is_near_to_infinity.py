# about: a finite answer where an infinite one is wanted: with a relative tolerance the distance allowed is infinite too
# task: halves
# expect: fail
# causes: wrong
def halves(numbers):
    return [0.0 if abs(n) == float("inf") else n / 2 for n in numbers]
