# about: where tests share the candidate's interpreter, an object that equals everything is believed
# task: apply_twice
# expect: fail
# causes: wrong, error, type
# tier: shared
class Anything:
    def __eq__(self, other):
        return True


def apply_twice(function, value):
    return Anything()
