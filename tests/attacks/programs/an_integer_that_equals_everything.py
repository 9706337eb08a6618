# about: a subclass of int, of the wrong value, that says it equals whatever it is compared with
# task: sum_of_squares
# expect: fail
# causes: type, wrong
class Agreeable(int):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = int.__hash__


def sum_of_squares(numbers):
    return Agreeable(-7)
