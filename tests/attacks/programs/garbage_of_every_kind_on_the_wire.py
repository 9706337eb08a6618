# about: what a careless reader stumbles over: deep JSON, NaN, huge numbers, duplicate keys, bytes that are no UTF-8
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, output, type
import os

GARBAGE = [
    b"[" * 60_000 + b"\n",
    b'{"value": 1e999}\n',
    b'{"value": NaN}\n',
    b'{"value": ' + b"9" * 50_000 + b"}\n",
    b'{"value": ["int", "0x1"], "value": ["int", "0xe"]}\n',
    b'{"value": ["set", [["list", []]]]}\n',
    b'{"value": ["dict", [[["list", []], ["none"]]]]}\n',
    b'{"value": ["float", "0x1p999999999999"]}\n',
    b'{"value": ["str", 14]}\n',
    b'{"value": ["int"]}\n',
    b'{"value": []}\n',
    b'{"value": null}\n',
    b"\xff\xfe\x00\n",
    b"\n\n\n",
    b"null\n",
]


def sum_of_squares(numbers):
    for fd in range(3, 256):
        try:
            os.write(fd, GARBAGE[(len(numbers) * 7 + fd) % len(GARBAGE)])
            os.write(fd, b"".join(GARBAGE))
        except OSError:
            pass
    os._exit(0)
