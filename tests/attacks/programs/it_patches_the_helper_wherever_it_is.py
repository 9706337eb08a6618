# about: the helper is replaced in every namespace above, and everything that generates the tests' texts
# task: shift_back
# expect: fail
# causes: wrong, error, type
import builtins
import random
import string
import sys


def same(text):
    return text


builtins.shift = same
string.ascii_lowercase = ""
random.Random.choice = lambda self, letters: ""


def shift_back(text):
    frame = sys._getframe(1)
    while frame:
        if "shift" in frame.f_globals:
            frame.f_globals["shift"] = same
        frame = frame.f_back
    shift.__code__ = same.__code__
    return text
