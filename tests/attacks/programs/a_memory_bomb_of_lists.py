# about: a list that doubles until something gives
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout
def sum_of_squares(numbers):
    held = [0]
    while True:
        held = held + held
