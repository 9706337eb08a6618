# about: the limits are lifted and then six seconds of CPU time are used; it passes only when it got them
# task: sum_of_squares
# expect: fail
# causes: timeout, died
# plain: no
# slow: yes
import resource
import signal
import time

for wish in ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None):
    try:
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, wish or (hard, hard))
    except (OSError, ValueError):
        pass
signal.signal(signal.SIGXCPU, signal.SIG_IGN)


def sum_of_squares(numbers):
    while time.process_time() < 6:
        pass
    return sum(n * n for n in numbers)
