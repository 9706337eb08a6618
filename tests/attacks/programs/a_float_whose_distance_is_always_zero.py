# about: a subclass of float that is no distance away from any number, where the tests allow a tolerance
# task: square_root
# expect: fail
# causes: type, wrong
class Near(float):
    def __sub__(self, other):
        return 0.0

    __rsub__ = __abs__ = __sub__

    def __abs__(self):
        return 0.0

    def __truediv__(self, other):
        return 1.0

    __rtruediv__ = __truediv__


def square_root(x):
    return Near(5.0)
