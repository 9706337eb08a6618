# about: the class of the method answers every name with an object that agrees with everything
# task: two_sum
# expect: fail
# causes: type, missing, error
class Yes:
    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __eq__(self, other):
        return True


class Meta(type):
    def __getattribute__(cls, name):
        return Yes()

    def __call__(cls, *args, **kwargs):
        return Yes()


class Solution(metaclass=Meta):
    pass
