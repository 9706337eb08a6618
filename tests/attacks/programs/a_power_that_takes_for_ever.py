# about: one multiplication of huge integers
# task: sum_of_squares
# expect: fail
# causes: timeout, memory, error
# slow: yes
def sum_of_squares(numbers):
    return pow(7, 10**9) % 1000
