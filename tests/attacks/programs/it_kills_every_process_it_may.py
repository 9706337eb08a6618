# about: kill(-1): everybody whom the user may signal, the server and its neighbours among them
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# again: yes
# plain: no
import os
import signal


def sum_of_squares(numbers):
    os.kill(-1, signal.SIGKILL)
    return -1
