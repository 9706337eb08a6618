# about: an answer of many small items
# task: two_sum
# expect: fail
# causes: output, memory, wrong, timeout, error
# slow: yes
class Solution:
    def two_sum(self, numbers, target):
        return [0] * 20_000_000
