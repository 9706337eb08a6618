# about: in-place changes that put lying objects into the argument
# task: sort_in_place
# expect: fail
# causes: type, wrong
class Anything:
    def __eq__(self, other):
        return True


def sort_in_place(items):
    items[:] = [Anything() for _ in items]
