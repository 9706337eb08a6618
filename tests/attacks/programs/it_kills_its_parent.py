# about: the server that forked it is killed, with its group and its own parent
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# again: yes
# plain: no
import os
import signal


def sum_of_squares(numbers):
    parent = os.getppid()
    if parent > 1:
        os.killpg(os.getpgid(parent), signal.SIGKILL)
    os.kill(parent, signal.SIGKILL)
    return -1
