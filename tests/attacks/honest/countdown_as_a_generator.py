# about: a generator function
# task: countdown
# expect: pass
def countdown(n):
    while n:
        yield n
        n -= 1
