# about: an iterable without end, for tests that make a list of it
# task: countdown
# expect: fail
# causes: timeout, memory, output, type, wrong, error
def countdown(n):
    while True:
        yield n
