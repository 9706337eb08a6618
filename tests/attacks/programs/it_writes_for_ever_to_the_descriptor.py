# about: a program that writes past Python's own streams
# task: add_lines
# expect: fail
# causes: output, timeout, wrong, died, error
# slow: yes
import os

block = b"x" * 65536
while True:
    for fd in (1, 2):
        os.write(fd, block)
