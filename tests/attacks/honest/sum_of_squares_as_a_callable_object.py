# about: the entry point is an instance with a cache around it
# task: sum_of_squares
# expect: pass
import functools


class Summer:
    def __call__(self, numbers):
        return sum(map(self.square, numbers))

    @staticmethod
    @functools.lru_cache(maxsize=None)
    def square(n):
        return n * n


sum_of_squares = Summer()
