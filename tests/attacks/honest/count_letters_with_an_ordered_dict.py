# about: an OrderedDict equals a dict
# task: count_letters
# expect: pass
from collections import OrderedDict


def count_letters(text):
    counts = OrderedDict()
    for letter in sorted(text):
        counts[letter] = counts.get(letter, 0) + 1
    return counts
