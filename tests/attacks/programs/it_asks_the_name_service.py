# about: a name is looked up, and the metadata service of clouds is asked; it passes only with an answer
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
# slow: yes
import socket
import urllib.request


def sum_of_squares(numbers):
    try:
        socket.getaddrinfo("example.com", 80)
        return sum(n * n for n in numbers)
    except OSError:
        pass
    for url in ("http://169.254.169.254/", "http://example.com/"):
        try:
            urllib.request.urlopen(url, timeout=0.3).read(1)
            return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
