# about: a forged frame that claims an error of loading, whose name is large and no text
# task: sum_of_squares
# expect: fail
# causes: type, error, output, wrong, missing, died
import json
import os
import struct

BODY = json.dumps({"raised": "\udfff\x1b[2J" + "x" * 7_000_000, "detail": "\0" * 100_000, "loading": True}).encode()
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
