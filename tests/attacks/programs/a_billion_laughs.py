# about: twenty-seven lists that hold each other ten times over, small until they are written out
# task: two_sum
# expect: fail
# causes: type, wrong, output, timeout, memory, error
# slow: yes
class Solution:
    def two_sum(self, numbers, target):
        answer = [0] * 10
        for _ in range(26):
            answer = [answer] * 10
        return answer
