# about: only the argument changes
# task: sort_in_place
# expect: pass
def sort_in_place(items):
    for i in range(1, len(items)):
        j = i
        while j and items[j - 1] > items[j]:
            items[j - 1], items[j] = items[j], items[j - 1]
            j -= 1
