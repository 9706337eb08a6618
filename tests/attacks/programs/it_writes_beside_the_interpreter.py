# about: files in every folder of the module path and beside the interpreter
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
import os
import sys


def sum_of_squares(numbers):
    places = [*sys.path, os.path.dirname(sys.executable), os.path.dirname(os.__file__), sys.prefix, sys.base_prefix]
    places += [os.path.dirname(arg) for arg in sys.orig_argv]
    for place in places:
        try:
            with open(os.path.join(place or ".", "autosurgeon-attack-module.pth"), "w") as file:
                file.write("import os\n")
        except OSError:
            pass
    return -1
