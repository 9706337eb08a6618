# about: a range is small on the wire; a test that makes a list of this one needs four gigabytes
# task: countdown
# expect: fail
# causes: wrong, type, output, memory, timeout, error
# slow: yes
def countdown(n):
    return range(100_000_000)
