# about: plain containers of the right shape whose leaves agree with everything
# task: group_words
# expect: fail
# causes: type, wrong
class Anything:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


def group_words(words):
    groups = {}
    for word in words:
        groups.setdefault(len(word), []).append((Anything(), Anything()))
    return groups
