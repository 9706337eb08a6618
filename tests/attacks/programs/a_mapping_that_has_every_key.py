# about: a subclass of dict that agrees with every comparison and has every key
# task: count_letters
# expect: fail
# causes: type, wrong, error
class Everything(dict):
    def __eq__(self, other):
        return True

    def __missing__(self, key):
        return 1

    def __len__(self):
        return 3

    def __contains__(self, key):
        return True


def count_letters(text):
    return Everything()
