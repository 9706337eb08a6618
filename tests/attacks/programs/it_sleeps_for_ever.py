# about: no CPU time is used at all
# task: sum_of_squares
# expect: fail
# causes: timeout
# slow: yes
import time


def sum_of_squares(numbers):
    while True:
        time.sleep(3600)
