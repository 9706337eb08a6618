# about: __repr__, __str__ and __format__ say what is wanted
# task: sum_of_squares
# expect: fail
# causes: type
class Speaker:
    def __init__(self, numbers):
        self.total = sum(n * n for n in numbers)

    def __repr__(self):
        return str(self.total)

    __str__ = __repr__

    def __eq__(self, other):
        return True


def sum_of_squares(numbers):
    return Speaker(numbers)
