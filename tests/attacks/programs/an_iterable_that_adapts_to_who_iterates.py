# about: an object that gives whatever the caller's frame wants
# task: countdown
# expect: fail
# causes: type, wrong, error
import sys


class Chameleon:
    def __iter__(self):
        frame = sys._getframe(1)
        while frame:
            for value in frame.f_locals.values():
                if isinstance(value, list) and value:
                    return iter(value)
            frame = frame.f_back
        return iter(())

    def __eq__(self, other):
        return True

    def __radd__(self, other):
        return 5050


def countdown(n):
    return Chameleon()
