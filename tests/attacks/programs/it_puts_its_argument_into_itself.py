# about: the argument comes back cyclic
# task: sort_in_place
# expect: fail
# causes: type, wrong, error
def sort_in_place(items):
    items.sort()
    items.append(items)
