# about: a program that leaves an object of its own where its output was captured
# task: add_lines
# expect: fail
# causes: wrong, error, died, type
import sys


class Stream:
    def getvalue(self):
        return "6\n3\n"

    def read(self, *args):
        return b"6\n3\n"

    def write(self, words):
        return len(words)

    def flush(self):
        pass

    def __getattr__(self, name):
        return lambda *args, **kwargs: "6\n3\n"


sys.stdout = sys.__stdout__ = sys.stderr = Stream()
print(0)
