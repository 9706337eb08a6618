# about: globals whose names a grader might use for itself
# task: sum_of_squares
# expect: pass
def check(candidate):
    assert candidate([1]) == 1


def candidate(numbers):
    return sum(n * n for n in numbers)


scope = request = given = value = answers = result = encode = json = os = sys = None
sum_of_squares = candidate
check(sum_of_squares)
