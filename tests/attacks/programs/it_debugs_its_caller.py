# about: a trace function is hung on every frame above, to change what the callers see when it returns
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, type
import sys


def spy(frame, event, argument):
    for name in ("wanted", "expected", "got", "value", "answer"):
        if name in frame.f_locals:
            frame.f_locals[name] = True
    return spy


def sum_of_squares(numbers):
    frame = sys._getframe()
    while frame:
        frame.f_trace = spy
        frame = frame.f_back
    sys.settrace(spy)
    sys.setprofile(spy)
    return -1
