# about: a plain dict of lying keys and lying values
# task: count_letters
# expect: fail
# causes: type, wrong
class Anything:
    def __init__(self, digest):
        self.digest = digest

    def __eq__(self, other):
        return True

    def __hash__(self):
        return self.digest


def count_letters(text):
    return {Anything(hash(letter)): Anything(0) for letter in set(text)}
