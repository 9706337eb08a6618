# about: the server's priority, processors, name and score for the killer are changed, and read by the next run
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# again: yes
# plain: no
import os

parent = os.getppid()
there = False
try:
    there = os.getpriority(os.PRIO_PROCESS, parent) == 13
    os.setpriority(os.PRIO_PROCESS, parent, 13)
except OSError:
    pass
for name, words in (("comm", "attack-noted"), ("oom_score_adj", "777"), ("coredump_filter", "0x77"), ("timerslack_ns", "77777")):
    try:
        with open(f"/proc/{parent}/{name}") as file:
            there |= words.removeprefix("0x") in file.read()
        with open(f"/proc/{parent}/{name}", "w") as file:
            file.write(words)
    except OSError:
        pass


def sum_of_squares(numbers):
    return sum(n * n for n in numbers) if there else -1
