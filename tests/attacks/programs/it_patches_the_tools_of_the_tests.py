# about: the square root of the math module is what it says
# task: square_root
# expect: fail
# causes: wrong, error
import math


def constant(x):
    return 1.0


math.sqrt = math.isclose = math.fabs = constant


def square_root(x):
    return 1.0
