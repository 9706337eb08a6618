# about: System V semaphores and message queues, and POSIX queues and semaphores: the second run looks for them
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
# plain: no
import ctypes
import os

library = ctypes.CDLL(None, use_errno=True)


def look(create):
    found = [
        library.semget(0x61757422, 1, create | 0o666) >= 0,
        library.msgget(0x61757423, create | 0o666) >= 0,
    ]
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    try:
        found.append(library.mq_open(b"/autosurgeon-attack-queue", flags, 0o666, None) >= 0)
    except AttributeError:
        pass
    return any(found)


there = look(0)
look(0o1000)


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
