# about: a subclass of list whose length, items and comparisons lie
# task: two_sum
# expect: fail
# causes: type, wrong
class Lying(list):
    def __len__(self):
        return 2

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __getitem__(self, index):
        return 0

    def __iter__(self):
        return iter((0, 1))


class Solution:
    def two_sum(self, numbers, target):
        return Lying()
