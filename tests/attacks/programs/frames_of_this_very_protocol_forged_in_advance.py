# about: length-prefixed answers to all questions are queued on the channel before the first is read
# task: sum_of_squares
# expect: fail
# causes: type
import json
import os
import struct

BODY = json.dumps({"value": 14}).encode()
for fd in range(3, 64):
    try:
        os.write(fd, (struct.pack(">I", len(BODY)) + BODY) * 9)
    except OSError:
        pass


def sum_of_squares(numbers):
    return 14
