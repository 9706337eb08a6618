# about: nesting that no recursive function survives
# task: two_sum
# expect: fail
# causes: type, wrong, error, died
class Solution:
    def two_sum(self, numbers, target):
        answer = []
        for _ in range(100_000):
            answer = [answer]
        return answer
