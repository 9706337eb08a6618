# about: a subclass of str with a lying __eq__ where the tests compare texts
# task: shift_back
# expect: fail
# causes: type, wrong
class Agreeable(str):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = str.__hash__


def shift_back(text):
    return Agreeable("anything")
