# about: where tests share the candidate's interpreter, the secret and the counter lie in the callers' frames
# task: apply_twice
# expect: fail
# causes: wrong, error, type, died
# tier: shared
import json
import os
import struct
import sys


def apply_twice(function, value):
    frame = sys._getframe(1)
    while frame:
        call = frame.f_locals.get("call")
        if isinstance(call, dict) and "nonce" in call:
            for checks in (10, 8, 5):
                body = json.dumps({"value": {"tuple": [call["nonce"], checks]}}).encode()
                for fd in range(3, 64):
                    try:
                        os.write(fd, struct.pack(">I", len(body)) + body)
                    except OSError:
                        pass
                break
        frame = frame.f_back
    return -1
