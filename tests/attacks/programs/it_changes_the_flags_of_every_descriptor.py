# about: flags belong to the open file, which the server shares: non-blocking, signal-driven, tiny buffers, locks
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout
# again: yes
import fcntl
import os
import signal
import socket


def sum_of_squares(numbers):
    for fd in range(256):
        for command, argument in (
            (fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC),
            (fcntl.F_SETOWN, os.getppid()),
            (10, signal.SIGKILL),  # F_SETSIG
            (1031, 4096),  # F_SETPIPE_SZ
        ):
            try:
                fcntl.fcntl(fd, command, argument)
            except OSError:
                pass
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass
        try:
            line = socket.socket(fileno=os.dup(fd))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                line.setsockopt(socket.SOL_SOCKET, option, (0).to_bytes(8, "little") + (1).to_bytes(8, "little"))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        except OSError:
            pass
    return -1
