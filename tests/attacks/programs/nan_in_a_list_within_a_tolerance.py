# about: NaN as the items of a list that may differ by a tolerance
# task: halves
# expect: fail
# causes: wrong
def halves(numbers):
    return [float("nan")] * len(numbers)
