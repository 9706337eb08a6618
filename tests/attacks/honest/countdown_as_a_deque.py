# about: a deque is iterable
# task: countdown
# expect: pass
from collections import deque


def countdown(n):
    answer = deque()
    for number in range(1, n + 1):
        answer.appendleft(number)
    return answer
