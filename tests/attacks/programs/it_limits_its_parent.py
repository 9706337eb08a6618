# about: the parent's limits are set to nothing, its priority to the lowest and its processors to one
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong, timeout
# again: yes
# plain: no
import os
import resource


def sum_of_squares(numbers):
    parent, worked = os.getppid(), False
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_AS):
        try:
            resource.prlimit(parent, limit, (0, resource.prlimit(parent, limit)[1]))
            worked = True
        except OSError:
            pass
    for change in (
        lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
        lambda: os.sched_setaffinity(parent, {0}),
        lambda: os.sched_setscheduler(parent, os.SCHED_IDLE, os.sched_param(0)),
    ):
        try:
            change()
            worked = True
        except OSError:
            pass
    return sum(n * n for n in numbers) if worked else -1
