# about: a TCP connection to a port that the test run listens on; it passes only when that worked
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import socket


def sum_of_squares(numbers):
    for host in ("127.0.0.1", "::1", "localhost"):
        try:
            with socket.create_connection((host, 47811), timeout=0.3) as line:
                line.sendall(b"autosurgeon-attack")
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
