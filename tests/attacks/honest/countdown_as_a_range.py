# about: a range is iterable
# task: countdown
# expect: pass
def countdown(n):
    return range(n, 0, -1)
