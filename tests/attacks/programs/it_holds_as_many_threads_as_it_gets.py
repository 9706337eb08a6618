# about: it takes every thread that its user may have and keeps them, so that no neighbour of that user gets one
# task: sum_of_squares
# expect: fail
# causes: timeout, error, memory, died
# plain: no
# slow: yes
import threading
import time


def sum_of_squares(numbers):
    threading.stack_size(32768)
    while True:
        try:
            threading.Thread(target=time.sleep, args=(86399.5,), daemon=True).start()
        except (RuntimeError, MemoryError):
            time.sleep(0.001)
