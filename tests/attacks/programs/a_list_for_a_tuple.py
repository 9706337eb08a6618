# about: an answer of containers of the wrong kind inside
# task: group_words
# expect: fail
# causes: wrong, type
def group_words(words):
    groups = {}
    for place, word in enumerate(words):
        groups.setdefault(len(word), []).append([word, place])
    return groups
