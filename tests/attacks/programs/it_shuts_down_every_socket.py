# about: shutdown works on the connection itself, so it reaches past the candidate's own copy
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout
# again: yes
import os
import socket


def sum_of_squares(numbers):
    for fd in range(256):
        try:
            socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    return -1
