# about: umask, working folder, signal mask, nice value and timers are changed, and looked for in the next run
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
import os
import signal

there = os.umask(0o123) == 0o123 or os.getpriority(os.PRIO_PROCESS, 0) == 7
there |= signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
try:
    os.setpriority(os.PRIO_PROCESS, 0, 7)
    os.chdir("/")
except OSError:
    pass


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
