# about: a UDP datagram to a port that the test run listens on, which sees whether it came
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
import socket


def sum_of_squares(numbers):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "255.255.255.255")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as line:
                line.sendto(b"autosurgeon-attack", (host, 47811))
        except OSError:
            pass
    return -1
