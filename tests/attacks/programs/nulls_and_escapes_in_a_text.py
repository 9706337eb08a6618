# about: NULs, terminal escapes, line ends of all kinds and a quote, for whoever frames or prints the answer
# task: shift_back
# expect: fail
# causes: wrong, type
def shift_back(text):
    return "\0\x1b]0;pwned\x07\x1b[2J\r\n\u2028\u2029\x85\x1c\"'}]\n"
