# about: its text raises, its name is a megabyte of surrogates, its arguments are itself
# task: sum_of_squares
# expect: fail
# causes: error, died, output
def _refuse(self):
    raise self


Mute = type("\udcff" * 1_000_000, (BaseException,), {"__str__": _refuse, "__repr__": _refuse})


def sum_of_squares(numbers):
    error = Mute()
    error.args = (error,)
    error.__cause__ = error.__context__ = error
    raise error
