# about: all signals are ignored and everything raised is swallowed, for ever
# task: sum_of_squares
# expect: fail
# causes: timeout
# slow: yes
import signal

for number in signal.valid_signals():
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass


def sum_of_squares(numbers):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
