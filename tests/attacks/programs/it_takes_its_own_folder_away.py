# about: the working folder is removed, renamed, and replaced by a link to somewhere else
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
# again: yes
import os


def sum_of_squares(numbers):
    here = os.getcwd()
    parent = os.path.dirname(here)
    for change in (
        lambda: os.rename(here, os.path.join(parent, "autosurgeon-attack-moved")),
        lambda: os.rmdir(here),
        lambda: os.symlink("/tmp/autosurgeon-attack-victim", here),
    ):
        try:
            change()
        except OSError:
            pass
    return -1
