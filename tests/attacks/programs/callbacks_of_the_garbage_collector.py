# about: code that runs whenever the collector runs, and when an object dies
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
import gc
import os
import weakref


class Corpse:
    def __del__(self):
        os._exit(0)


corpse = Corpse()
weakref.finalize(corpse, os._exit, 0)
gc.callbacks.append(lambda *args: os._exit(0))


def sum_of_squares(numbers):
    gc.set_threshold(1, 1, 1)
    return -1
