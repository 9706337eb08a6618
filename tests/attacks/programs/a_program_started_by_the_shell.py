# about: os.system with a background job, nohup and setsid
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import os


def sum_of_squares(numbers):
    os.system("nohup setsid sleep 86399.5 >/dev/null 2>&1 &")
    os.popen("sleep 86399.5 &")
    return -1
