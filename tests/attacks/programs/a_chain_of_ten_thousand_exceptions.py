# about: an exception group within a group, and a long chain of causes, for whoever prints the traceback
# task: sum_of_squares
# expect: fail
# causes: error, died, output, memory, timeout
def sum_of_squares(numbers):
    error = ValueError("first")
    for _ in range(10_000):
        outer = ExceptionGroup("group", [error])
        outer.__cause__ = error
        error = outer
    raise error
