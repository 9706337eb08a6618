# about: a message larger than anybody should store
# task: sum_of_squares
# expect: fail
# causes: error, output, memory, died
def sum_of_squares(numbers):
    raise ValueError("\u00e9" * 50_000_000)
