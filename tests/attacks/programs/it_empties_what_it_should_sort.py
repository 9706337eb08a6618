# about: nothing is always in order
# task: sort_in_place
# expect: fail
# causes: wrong
def sort_in_place(items):
    items.clear()
