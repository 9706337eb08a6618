# about: fork, wait and exit of the os module behave as if they had worked
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died, timeout
# again: yes
import os

os.fork = lambda: os.getpid()
os.waitpid = os.wait4 = os.waitid = lambda *args: (os.getpid(), 0, None)
os.waitstatus_to_exitcode = lambda status: 0
os._exit = lambda code: None


def sum_of_squares(numbers):
    raise SystemExit(0)
