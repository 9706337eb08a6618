# about: a product of ranges is made into a list in one step that no handler interrupts
# task: sum_of_squares
# expect: fail
# causes: timeout, memory, error
# slow: yes
import itertools


def sum_of_squares(numbers):
    return max(itertools.product(range(100), repeat=9))
