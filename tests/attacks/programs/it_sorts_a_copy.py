# about: the right order in a new list, which nobody keeps
# task: sort_in_place
# expect: fail
# causes: wrong
def sort_in_place(items):
    items = sorted(items)
