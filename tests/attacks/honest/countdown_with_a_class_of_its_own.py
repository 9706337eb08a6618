# about: an object that is iterable by its own class
# task: countdown
# expect: pass
class Down:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if not self.n:
            raise StopIteration
        self.n -= 1
        return self.n + 1


def countdown(n):
    return list(Down(n))
