# about: the argument comes back with a hundred million items
# task: sort_in_place
# expect: fail
# causes: wrong, output, memory, timeout, error
# slow: yes
def sort_in_place(items):
    items.sort()
    items *= 10_000_000
