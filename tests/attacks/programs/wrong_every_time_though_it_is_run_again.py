# about: equal programs of one task are run once; an answer that is remembered has to be the failure
# task: sum_of_squares
# expect: fail
# causes: wrong
# again: yes
def sum_of_squares(numbers):
    return sum(n * n for n in numbers) - (len(numbers) == 2)
