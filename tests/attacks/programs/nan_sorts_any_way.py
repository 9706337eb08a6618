# about: items of the argument replaced by NaN, which no order contradicts
# task: sort_in_place
# expect: fail
# causes: wrong
def sort_in_place(items):
    items[:] = [float("nan")] * len(items)
