# about: a fraction, which mixes with floats
# task: square_root
# expect: pass
from fractions import Fraction


def square_root(x):
    return Fraction(x**0.5)
