# about: many threads hash at once, so that CPU time runs faster than the clock
# task: sum_of_squares
# expect: fail
# causes: timeout, error, died, memory
# slow: yes
import hashlib
import threading


def burn():
    block = bytes(1 << 20)
    while True:
        hashlib.sha256(block).digest()


def sum_of_squares(numbers):
    threads = [threading.Thread(target=burn, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return -1
