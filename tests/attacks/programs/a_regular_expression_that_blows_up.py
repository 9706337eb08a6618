# about: catastrophic backtracking, all of it in C
# task: sum_of_squares
# expect: fail
# causes: timeout
# slow: yes
import re


def sum_of_squares(numbers):
    return len(re.match(r"(a+)+$", "a" * 60 + "b").group())
