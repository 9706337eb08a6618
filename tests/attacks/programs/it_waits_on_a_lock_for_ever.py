# about: a thread waits for a lock that it holds itself
# task: sum_of_squares
# expect: fail
# causes: timeout
# slow: yes
import threading


def sum_of_squares(numbers):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
