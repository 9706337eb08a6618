# about: the server is stopped, not killed, so that it neither answers nor ends
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong, timeout
# again: yes
# plain: no
import os
import signal


def sum_of_squares(numbers):
    for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGUSR1, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        os.kill(os.getppid(), number)
    return -1
