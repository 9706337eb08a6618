# about: forged answers that name exceptions which end loops and programs, and names that are none
# task: digit_sum
# expect: fail
# causes: wrong, error, type, memory, died
import json
import os
import struct

ANSWERS = [
    {"raised": "SystemExit", "detail": "0"},
    {"raised": "StopIteration", "detail": ""},
    {"raised": "GeneratorExit", "detail": ""},
    {"raised": "KeyboardInterrupt", "detail": ""},
    {"raised": "Lost", "detail": ""},
    {"raised": ["ValueError"], "detail": {}},
    {"refused": ["type"], "detail": 5},
    {"raised": "ExceptionGroup", "detail": "x"},
    {"raised": "print", "detail": "x"},
    {"value": {"type": "object"}},
    {},
]


def digit_sum(text):
    for answer in ANSWERS:
        body = json.dumps(answer).encode()
        for fd in range(3, 64):
            try:
                os.write(fd, struct.pack(">I", len(body)) + body)
            except OSError:
                pass
    return -1
