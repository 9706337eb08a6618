# about: the plain answer, by way of a copy that is worked on
# task: odds_kept
# expect: pass
def odds_kept(numbers):
    rest = numbers[:]
    rest[:] = [n for n in rest if n % 2]
    return rest
