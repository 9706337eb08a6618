# about: whoever reads in the candidate's process reads the candidate's own words, and waits for ever after
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error, timeout, output, type
import os


def sum_of_squares(numbers):
    reader, writer = os.pipe()
    os.write(writer, b'{"given": "([],)"}\n' * 100)
    for fd in range(64):
        if fd not in (reader, writer):
            try:
                os.dup2(reader, fd)
            except OSError:
                pass
    return 0
