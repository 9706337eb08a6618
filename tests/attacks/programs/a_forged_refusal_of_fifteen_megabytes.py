# about: a forged frame that refuses, with a reason that is large and no text
# task: sum_of_squares
# expect: fail
# causes: type, error, output, wrong, missing, died
import json
import os
import struct

BODY = json.dumps({"refused": "type", "detail": "\ud800\x1b[2J" + "x" * 15_000_000}).encode()
WORDS = struct.pack(">I", len(BODY)) + BODY


def sum_of_squares(numbers):
    for fd in range(3, 64):
        try:
            place = 0
            while place < len(WORDS):
                place += os.write(fd, WORDS[place : place + 65536])
        except OSError:
            pass
    return -1
