# about: pipes and sockets hold what nobody reads, in the kernel's memory; it passes only with half a gigabyte
# task: sum_of_squares
# expect: fail
# causes: memory, error, died, timeout, wrong
# plain: no
import fcntl
import os
import socket


def sum_of_squares(numbers):
    held, keep = 0, []
    for number in range(4096):
        try:
            if number % 2:
                reader, writer = os.pipe()
                fcntl.fcntl(writer, 1031, 1 << 20)  # F_SETPIPE_SZ
            else:
                ours, theirs = socket.socketpair()
                keep += [ours, theirs]
                writer = ours.fileno()
            os.set_blocking(writer, False)
        except OSError:
            break
        try:
            while True:
                held += os.write(writer, bytes(65536))
        except OSError:
            pass
    return sum(n * n for n in numbers) if held >= 512 << 20 else -1
