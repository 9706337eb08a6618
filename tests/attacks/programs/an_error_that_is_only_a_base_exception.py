# about: GeneratorExit and bare BaseException pass by many handlers
# task: sum_of_squares
# expect: fail
# causes: error, died
def sum_of_squares(numbers):
    raise GeneratorExit if numbers else BaseException("nothing")
