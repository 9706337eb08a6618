# about: the plain answer
# task: group_words
# expect: pass
def group_words(words):
    groups = {}
    for place, word in enumerate(words):
        groups.setdefault(len(word), []).append((word, place))
    return groups
