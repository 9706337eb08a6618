# about: a tree so deep that whoever cleans up after it may fail
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout, memory
# plain: no
# again: yes
import os


def sum_of_squares(numbers):
    try:
        for _ in range(2500):
            os.mkdir("autosurgeon-attack-deep")
            os.chdir("autosurgeon-attack-deep")
        with open("autosurgeon-attack-bottom", "w") as file:
            file.write("x")
    except OSError:
        pass
    return -1
