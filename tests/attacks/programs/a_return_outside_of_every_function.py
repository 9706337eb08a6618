# about: code that parses but does not compile
# task: sum_of_squares
# expect: fail
# causes: syntax
def sum_of_squares(numbers):
    return 14


return 14
