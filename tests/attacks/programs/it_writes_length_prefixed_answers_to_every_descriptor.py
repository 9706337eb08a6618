# about: the same with lengths before them, in every usual size and byte order
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, output, type
import json
import os
import struct


def sum_of_squares(numbers):
    for body in (json.dumps({"value": ["int", "0xe"]}).encode(), b"14", b"pass", b"\x00", b"["):
        for prefix in ("<I", ">I", "<Q", ">Q", "<H", ">H", "B"):
            for fd in range(256):
                try:
                    os.write(fd, struct.pack(prefix, len(body)) + body)
                except (OSError, struct.error):
                    pass
    return -1
