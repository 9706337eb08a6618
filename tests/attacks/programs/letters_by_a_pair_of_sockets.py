# about: no socket may be made, but a pair may: one of datagrams still sends to any address of a Unix socket
# task: sum_of_squares
# expect: fail
# causes: wrong, error
# plain: no
import socket


def sum_of_squares(numbers):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for address in ("/tmp/autosurgeon-attack-letters", "\0autosurgeon-attack-letters"):
        try:
            ours.sendto(b"autosurgeon-attack", address)
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
