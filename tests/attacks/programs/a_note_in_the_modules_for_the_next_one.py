# about: the first run leaves attributes in modules, builtins and the environment, the second looks for them
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
import builtins
import os
import sys

marked = [thing for thing in (builtins, sys, os) if hasattr(thing, "autosurgeon_attack")]
marked += [name for name in os.environ if name == "AUTOSURGEON_ATTACK"]
for thing in (builtins, sys, os):
    thing.autosurgeon_attack = True
os.environ["AUTOSURGEON_ATTACK"] = "1"


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if marked else -1
