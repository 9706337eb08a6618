# about: right for the first calls of a test that loops, then an answer for the rest
# task: square_root
# expect: fail
# causes: wrong
calls = []


def square_root(x):
    calls.append(x)
    return x**0.5 if len(calls) < 40 else 0.0
