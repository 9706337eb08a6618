# about: the answer is a class; its metaclass answers comparisons, instance checks and conversions
# task: sum_of_squares
# expect: fail
# causes: type
class Meta(type):
    def __eq__(cls, other):
        return True

    def __hash__(cls):
        return 14

    def __instancecheck__(cls, instance):
        return True

    def __subclasscheck__(cls, subclass):
        return True

    def __getattribute__(cls, name):
        return int.__dict__.get(name) or type.__getattribute__(cls, name)


class Answer(metaclass=Meta):
    pass


def sum_of_squares(numbers):
    return Answer
