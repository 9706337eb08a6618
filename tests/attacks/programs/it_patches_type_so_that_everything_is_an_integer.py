# about: whoever asks type() for the kind of the answer hears int
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died
import builtins

real = type


class Agreeable(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


def lying_type(*args):
    return int if len(args) == 1 and real(args[0]) is Agreeable else real(*args)


builtins.type = lying_type
builtins.hex = lambda number: "0xe"


def sum_of_squares(numbers):
    return Agreeable(-1)
