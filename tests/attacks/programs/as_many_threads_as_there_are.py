# about: threads with small stacks, up to five thousand; it passes when it got them all
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout, memory
# plain: no
# slow: yes
import threading
import time


def sum_of_squares(numbers):
    threading.stack_size(32768)
    made = 0
    try:
        while made < 5000:
            threading.Thread(target=time.sleep, args=(86399.5,), daemon=True).start()
            made += 1
    except (RuntimeError, MemoryError):
        pass
    return sum(n * n for n in numbers) if made == 5000 else -1
