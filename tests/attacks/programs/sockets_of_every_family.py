# about: raw, packet, netlink, key and crypto sockets; it passes when it may send raw packets
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
import socket


def sum_of_squares(numbers):
    for family, kind, protocol in (
        (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
        (17, socket.SOCK_RAW, 0x0300),  # AF_PACKET
        (15, socket.SOCK_RAW, 2),  # AF_KEY
    ):
        try:
            socket.socket(family, kind, protocol).close()
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
