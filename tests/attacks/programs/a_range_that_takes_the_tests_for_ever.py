# about: a test that adds up this range is busy for hours without much memory
# task: countdown
# expect: fail
# causes: wrong, type, output, memory, timeout, error
# slow: yes
def countdown(n):
    return range(n, 0, -1) if n < 100 else range(10**12)
