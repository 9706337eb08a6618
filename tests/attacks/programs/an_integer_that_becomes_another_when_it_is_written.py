# about: a subclass of int whose conversions and text say one thing and its value another
# task: sum_of_squares
# expect: fail
# causes: type, wrong
class Shifting(int):
    def __repr__(self):
        return "14"

    __str__ = __repr__

    def __format__(self, spec):
        return "14"

    def __index__(self):
        return 14

    __int__ = __trunc__ = __index__

    def __reduce__(self):
        return (int, (14,))

    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


def sum_of_squares(numbers):
    return Shifting(-7)
