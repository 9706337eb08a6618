# about: the plainest of all timeouts
# task: square_root
# expect: fail
# causes: timeout
# slow: yes
def square_root(x):
    while x >= 0:
        x += 1
