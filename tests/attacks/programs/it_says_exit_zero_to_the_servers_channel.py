# about: it writes the server's own word for a clean end, then burns time for ever
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, timeout, output, type
# slow: yes
import os


def sum_of_squares(numbers):
    for fd in range(256):
        for words in (b"0\n", b"%d\n0\n" % os.getpid(), b'{"exit": 0}\n', b'{"code": 0, "cpu": 0.0}\n'):
            try:
                os.write(fd, words)
            except OSError:
                pass
    while True:
        pass
