# about: a timer interrupts the server's code in this process and answers in its place
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, type, timeout
import signal
import sys


def answer(number, frame):
    while frame:
        for name in ("answer", "value", "call"):
            if name in frame.f_locals:
                frame.f_locals[name] = {"value": 14}
        frame = frame.f_back
    sys.exit(0)


signal.signal(signal.SIGALRM, answer)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)


def sum_of_squares(numbers):
    return -1
