# about: the entry point is not defined
# task: sum_of_squares
# expect: fail
# causes: missing
def sum_of_cubes(numbers):
    return sum(n**3 for n in numbers)
