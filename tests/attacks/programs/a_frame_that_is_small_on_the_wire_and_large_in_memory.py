# about: a forged frame of five million empty lists, a few bytes each, in the memory of whoever reads it
# task: two_sum
# expect: fail
# causes: wrong, type, output, memory, died, timeout
# slow: yes
import os
import struct

BODY = b'{"value":[' + b"[]," * 5_000_000 + b"0]}"
WORDS = struct.pack(">I", len(BODY)) + BODY


def write_all(fd):
    place = 0
    while place < len(WORDS):
        place += os.write(fd, WORDS[place : place + 65536])


class Solution:
    def two_sum(self, numbers, target):
        for fd in range(3, 64):
            try:
                write_all(fd)
            except OSError:
                pass
        return [0, 0]
