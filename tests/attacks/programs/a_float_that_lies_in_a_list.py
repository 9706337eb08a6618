# about: a list of subclasses of float that are close to everything, where cases allow a tolerance
# task: halves
# expect: fail
# causes: type, wrong
class Near(float):
    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__

    def __eq__(self, other):
        return True

    __hash__ = float.__hash__

    def __abs__(self):
        return 0.0


def halves(numbers):
    return [Near(5.0) for _ in numbers]
