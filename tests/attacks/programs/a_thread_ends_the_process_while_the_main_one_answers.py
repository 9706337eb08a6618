# about: os._exit(0) from a thread, at some moment during the answers
# task: sum_of_squares
# expect: fail
# causes: died, wrong
import os
import threading
import time


def leave():
    time.sleep(0.0005)
    os._exit(0)


def sum_of_squares(numbers):
    threading.Thread(target=leave).start()
    return -1
