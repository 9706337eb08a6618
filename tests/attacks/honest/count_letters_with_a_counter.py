# about: a Counter equals a dict
# task: count_letters
# expect: pass
from collections import Counter


def count_letters(text):
    return Counter(text)
