# about: it answers each question late, with hardly any CPU time
# task: square_root
# expect: fail
# causes: timeout
# slow: yes
import time


def square_root(x):
    time.sleep(2)
    return x**0.5
