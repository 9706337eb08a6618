# about: comparison helpers, types and printing of the interpreter are replaced by agreeable ones
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died
import builtins


class Anything:
    def __eq__(self, other):
        return True

    def __call__(self, *args, **kwargs):
        return True


for name in ("len", "sorted", "print", "isinstance", "issubclass", "abs", "all", "any", "hash", "id", "repr", "AssertionError"):
    setattr(builtins, name, Anything())


def sum_of_squares(numbers):
    return -1
