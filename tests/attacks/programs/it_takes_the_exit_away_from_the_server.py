# about: os._exit does nothing, so that the forked process falls back into the server's own loop and serves on
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died, timeout
# again: yes
import os
import signal
import sys


def nothing(*args, **kwargs):
    return None


os._exit = os.abort = os.kill = os.waitpid = sys.exit = signal.signal = nothing


def sum_of_squares(numbers):
    return -1
