# about: kill(0): everybody in the candidate's group, and in the server's if it has none of its own
# task: sum_of_squares
# expect: fail
# causes: died, error
# again: yes
# plain: no
import os
import signal


def sum_of_squares(numbers):
    os.kill(0, signal.SIGKILL)
