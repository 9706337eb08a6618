# about: SIGSTOP: the process neither runs nor ends
# task: sum_of_squares
# expect: fail
# causes: timeout, died, error
# slow: yes
import os
import signal


def sum_of_squares(numbers):
    os.kill(os.getpid(), signal.SIGSTOP)
    return -1
