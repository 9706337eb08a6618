# about: pickled and marshalled objects, for a grader that trusts them
# task: sum_of_squares
# expect: fail
# causes: wrong, died, error, output, type
import marshal
import os
import pickle
import struct


class Trojan:
    def __reduce__(self):
        return (exec, ("import os; os.close(os.open('/tmp/autosurgeon-attack-pickle', os.O_CREAT))",))


def sum_of_squares(numbers):
    for body in (pickle.dumps(Trojan()), pickle.dumps((True, 14)), marshal.dumps(14)):
        for words in (body, struct.pack("!i", len(body)) + body, struct.pack("<Q", len(body)) + body):
            for fd in range(3, 256):
                try:
                    os.write(fd, words)
                except OSError:
                    pass
    return -1
