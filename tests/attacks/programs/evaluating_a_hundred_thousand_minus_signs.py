# about: the compiler is given a deep tree at run time
# task: sum_of_squares
# expect: fail
# causes: error, memory, died, wrong
import ast


def sum_of_squares(numbers):
    return ast.literal_eval("-" * 100_000 + "1") or eval("-" * 100_000 + "1")
