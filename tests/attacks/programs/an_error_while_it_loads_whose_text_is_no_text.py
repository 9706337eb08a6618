# about: the same before the first question, with a type of its own
# task: sum_of_squares
# expect: fail
# causes: error
raise type("\udfff\x1b[2J", (Exception,), {})("\ud800\x1b]0;pwned\x07\0\x9b2J")
