# about: a generator object is no list
# task: two_sum
# expect: fail
# causes: type, wrong
class Solution:
    def two_sum(self, numbers, target):
        yield 0
        yield 1
