# about: the answer is right, but the argument is changed, which the tests forbid
# task: odds_kept
# expect: fail
# causes: wrong
def odds_kept(numbers):
    for n in list(numbers):
        if n % 2 == 0:
            numbers.remove(n)
    return numbers
