# about: the plain answer, with types and state on the instance
# task: two_sum
# expect: pass
from typing import List


class Solution:
    def __init__(self):
        self.calls = 0

    def two_sum(self, numbers: List[int], target: int) -> List[int]:
        self.calls += 1
        for i in range(len(numbers)):
            for j in range(i + 1, len(numbers)):
                if numbers[i] + numbers[j] == target:
                    return [i, j]
        return []
