# about: a cookie that would hide code from a reader who trusts it
# task: sum_of_squares
# expect: fail
# causes: missing, error, wrong, syntax
# -*- coding: utf-7 -*-
# +AAo-def sum_of_squares(numbers): return sum(n * n for n in numbers)
