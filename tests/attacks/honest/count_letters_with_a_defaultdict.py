# about: a defaultdict equals a dict
# task: count_letters
# expect: pass
from collections import defaultdict


def count_letters(text):
    counts = defaultdict(int)
    for letter in text:
        counts[letter] += 1
    return counts
