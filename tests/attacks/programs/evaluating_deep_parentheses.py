# about: the parser is given two hundred thousand parentheses at run time
# task: sum_of_squares
# expect: fail
# causes: error, memory, died
def sum_of_squares(numbers):
    return eval("(" * 200_000 + ")" * 200_000)
