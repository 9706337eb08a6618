# about: every loaded module is replaced by an object that agrees with everything
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died
import sys


class Yes:
    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __eq__(self, other):
        return True

    def __iter__(self):
        return iter(())


def sum_of_squares(numbers):
    for name in list(sys.modules):
        if name != "sys":
            sys.modules[name] = Yes()
    return -1
