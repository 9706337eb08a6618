# about: an answer of a container that forgets order
# task: two_sum
# expect: fail
# causes: wrong, type
class Solution:
    def two_sum(self, numbers, target):
        return {0, 1}
