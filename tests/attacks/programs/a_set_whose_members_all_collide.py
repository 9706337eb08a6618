# about: numbers of one and the same hash, so that whoever builds the set again takes for ever
# task: two_sum
# expect: fail
# causes: wrong, type, output, memory, timeout, died
# slow: yes
import os
import struct

PRIME = (1 << 61) - 1
MEMBERS = ",".join('{"int":"%x"}' % (number * PRIME) for number in range(1, 400_000)).encode()
BODY = b'{"value":{"set":[' + MEMBERS + b"]}}"
WORDS = struct.pack(">I", len(BODY)) + BODY


class Solution:
    def two_sum(self, numbers, target):
        for fd in range(3, 64):
            try:
                place = 0
                while place < len(WORDS):
                    place += os.write(fd, WORDS[place : place + 65536])
            except OSError:
                pass
        return [0, 0]
