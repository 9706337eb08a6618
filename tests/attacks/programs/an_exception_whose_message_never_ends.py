# about: whoever asks the exception for its text waits for ever
# task: sum_of_squares
# expect: fail
# causes: error, timeout, died, type
# slow: yes
class Endless(Exception):
    def __str__(self):
        while True:
            pass

    __repr__ = __str__


def sum_of_squares(numbers):
    raise Endless
