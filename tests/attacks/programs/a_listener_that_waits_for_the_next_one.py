# about: a forked process listens on an abstract socket; the next run passes if it gets an answer from it
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# again: yes
# plain: no
import ctypes
import os
import socket
import time

ADDRESS = "\0autosurgeon-attack-relay"
there = False
try:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(0.3)
        line.connect(ADDRESS)
        there = line.recv(4) == b"seen"
except OSError:
    pass
if not there and os.fork() == 0:
    os.setsid()
    ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
    os.closerange(0, 4096)
    door = socket.socket(socket.AF_UNIX)
    door.bind(ADDRESS)
    door.listen()
    end = time.monotonic() + 86399.5
    while time.monotonic() < end:
        door.accept()[0].send(b"seen")


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
