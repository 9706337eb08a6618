# about: iterators of itertools
# task: countdown
# expect: pass
import itertools


def countdown(n):
    return itertools.chain(itertools.islice(itertools.count(n, -1), n), [])
