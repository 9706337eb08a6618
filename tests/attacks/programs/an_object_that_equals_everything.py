# about: the answer is an object whose every comparison is true
# task: sum_of_squares
# expect: fail
# causes: type
class Anything:
    def _yes(self, *_):
        return True

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _yes

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 14

    def __int__(self):
        return 14

    __index__ = __int__


def sum_of_squares(numbers):
    return Anything()
