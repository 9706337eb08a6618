# about: NaN, infinities, minus zero, a huge integer, bytes, complex, frozenset, odd text
# task: special_value
# expect: pass
import math


def special_value(name):
    if name in ("nan", "inf", "-inf", "-0.0"):
        return float(name)
    if name == "huge":
        return 7**5000
    if name == "bytes":
        return b"\x00\xff"
    if name == "complex":
        return 1 - 2j
    if name == "frozenset":
        return frozenset([(2, "b"), 1])
    if name == "text":
        return "na\u00efve \U0001f600 \0 line\n"
    return {"none": None, "true": True}[name]
