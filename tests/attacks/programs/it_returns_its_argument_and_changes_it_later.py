# about: the argument itself is the answer, and a thread empties it after the call
# task: evens
# expect: fail
# causes: wrong
import threading
import time


def evens(numbers):
    numbers[:] = [n * 2 for n in numbers]

    def later():
        time.sleep(0.01)
        numbers[:] = [2]

    threading.Thread(target=later, daemon=True).start()
    return numbers
