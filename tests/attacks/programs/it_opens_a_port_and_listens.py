# about: a server for whoever comes by, on all addresses and on an abstract socket
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
# slow: yes
import socket


def sum_of_squares(numbers):
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    line.bind(("0.0.0.0", 47812))
    line.listen()
    line.accept()
