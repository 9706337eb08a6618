# about: SystemExit with an object for a code, and a subclass of it
# task: sum_of_squares
# expect: fail
# causes: error, died
class Leave(SystemExit):
    code = property(lambda self: 0)

    def __str__(self):
        return ""


def sum_of_squares(numbers):
    raise Leave(object())
