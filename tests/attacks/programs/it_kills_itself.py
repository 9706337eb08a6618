# about: SIGKILL to its own process
# task: sum_of_squares
# expect: fail
# causes: died, error
import os
import signal


def sum_of_squares(numbers):
    os.kill(os.getpid(), signal.SIGKILL)
