# about: numbers of processes are tried one by one, the first of the namespace among them
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong, timeout
# again: yes
# plain: no
import os
import signal


def sum_of_squares(numbers):
    for pid in range(1, 40000):
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    return -1
