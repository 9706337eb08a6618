# about: the environment of whatever is started next names the candidate's files
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
# plain: no
import os


def sum_of_squares(numbers):
    for name in ("sitecustomize.py", "usercustomize.py", "json.py", "conftest.py"):
        for place in (".", "/tmp", os.path.expanduser("~")):
            try:
                with open(f"{place}/{name}", "w") as file:
                    file.write("# autosurgeon-attack-\nraise SystemExit(0)\n")
            except OSError:
                pass
    os.environ.update(LD_PRELOAD="/tmp/autosurgeon-attack.so", PYTHONPATH="/tmp", PYTHONSTARTUP="/tmp/sitecustomize.py")
    os.putenv("LD_PRELOAD", "/tmp/autosurgeon-attack.so")
    return -1
