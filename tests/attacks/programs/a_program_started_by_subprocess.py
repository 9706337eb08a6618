# about: a sleeping program in a session of its own
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import subprocess


def sum_of_squares(numbers):
    subprocess.Popen(["sleep", "86399.5"], start_new_session=True, close_fds=False)
    return -1
