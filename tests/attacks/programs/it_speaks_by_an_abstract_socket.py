# about: a Unix socket without a file, which no mount namespace hides; it passes only when somebody answers
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
import socket


def sum_of_squares(numbers):
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(0.3)
            line.connect("\0autosurgeon-attack-listener")
            line.sendall(b"autosurgeon-attack")
        return sum(n * n for n in numbers)
    except OSError:
        return -1
