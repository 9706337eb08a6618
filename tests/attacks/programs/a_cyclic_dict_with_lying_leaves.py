# about: a dict that reaches itself through a list and a tuple
# task: group_words
# expect: fail
# causes: type, wrong, error
def group_words(words):
    groups = {}
    groups[1] = [(groups, 0)]
    return groups
