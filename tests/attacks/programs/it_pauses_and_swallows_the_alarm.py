# about: it waits for a signal, with every wake-up leading back to waiting
# task: sum_of_squares
# expect: fail
# causes: timeout
# slow: yes
import signal

signal.signal(signal.SIGALRM, lambda *args: None)
signal.signal(signal.SIGTERM, lambda *args: None)


def sum_of_squares(numbers):
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    while True:
        signal.pause()
