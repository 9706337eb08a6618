# about: a port, an abstract socket and a file name are tried; it passes when another candidate answers there
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# again: yes
# plain: no
import socket

there = False
keep = []
for family, address in ((socket.AF_UNIX, "\0autosurgeon-attack-meeting"), (socket.AF_INET, ("127.0.0.1", 47813))):
    try:
        door = socket.socket(family, socket.SOCK_STREAM)
        keep.append(door)
        door.bind(address)
        door.listen()
    except OSError:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as line:
                line.settimeout(0.2)
                line.connect(address)
                there = True
        except OSError:
            pass


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
