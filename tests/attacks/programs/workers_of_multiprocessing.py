# about: a pool of workers, and a server of managers, that outlive the call
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout, memory, missing
# plain: no
import ctypes
import multiprocessing
import os
import time


def work(seconds):
    ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
    time.sleep(seconds)


def sum_of_squares(numbers):
    context = multiprocessing.get_context("fork")
    for _ in range(4):
        context.Process(target=work, args=(86399.5,)).start()
    os._exit(0)
