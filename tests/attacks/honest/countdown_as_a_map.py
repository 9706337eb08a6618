# about: the iterators of map, reversed and dict views are iterable
# task: countdown
# expect: pass
def countdown(n):
    if n == 3:
        return map(int, "321")
    if n == 0:
        return {}.keys()
    return reversed(range(1, n + 1))
