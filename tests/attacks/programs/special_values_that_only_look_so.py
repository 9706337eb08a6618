# about: plus zero for minus zero, text for bytes, a list for a frozenset, 1 for True: all but the difference
# task: special_value
# expect: fail
# causes: wrong
def special_value(name):
    return {
        "nan": float("nan"),
        "inf": float("inf"),
        "-inf": float("-inf"),
        "-0.0": 0.0,
        "huge": 7**5000,
        "bytes": bytearray(b"\x00\xff"),
        "complex": complex(1, -2),
        "frozenset": {1, (2, "b")},
        "text": "na\u00efve \U0001f600 \0 line\n",
        "none": None,
        "true": 1,
    }[name]
