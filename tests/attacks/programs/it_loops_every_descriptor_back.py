# about: every descriptor becomes one end of a socket pair whose other end is open too
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout
import os
import socket


def sum_of_squares(numbers):
    ours, theirs = socket.socketpair()
    for fd in range(64):
        if fd not in (ours.fileno(), theirs.fileno()):
            try:
                os.dup2(ours.fileno(), fd)
            except OSError:
                pass
    return -1
