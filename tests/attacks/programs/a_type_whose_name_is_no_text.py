# about: the name of the answer's type is a megabyte of surrogates, escapes and NULs, for whoever stores or prints it
# task: sum_of_squares
# expect: fail
# causes: type, error
Strange = type("\ud800\x1b[2J" * 100_000, (), {})


def sum_of_squares(numbers):
    return Strange()
