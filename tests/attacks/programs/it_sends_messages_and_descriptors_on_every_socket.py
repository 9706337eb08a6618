# about: control messages, descriptors and credentials are sent on every inherited socket
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, output, type, timeout
import os
import socket


def sum_of_squares(numbers):
    for fd in range(256):
        try:
            line = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        for message in (b"", b"0\n", b"%d\n" % os.getpid(), b"run", b'{"code": 0}', b"\x00" * 16):
            try:
                line.setblocking(False)
                socket.send_fds(line, [message], [0, 1, 2])
                line.send(message)
            except OSError:
                pass
    return -1
