# about: a list that holds itself
# task: two_sum
# expect: fail
# causes: type, wrong, error
class Solution:
    def two_sum(self, numbers, target):
        answer = [0]
        answer.append(answer)
        return answer
