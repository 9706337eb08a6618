# about: __class__ says int, so isinstance believes it
# task: sum_of_squares
# expect: fail
# causes: type
class Impostor:
    __class__ = int

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 14

    def __int__(self):
        return 14

    __index__ = __int__

    def bit_length(self):
        return 4


def sum_of_squares(numbers):
    return Impostor()
