# about: its behaviour changes after the first call
# task: sum_of_squares
# expect: fail
# causes: wrong
calls = []


def sum_of_squares(numbers):
    calls.append(numbers)
    return sum(n * n for n in numbers) if len(calls) == 1 else -1
