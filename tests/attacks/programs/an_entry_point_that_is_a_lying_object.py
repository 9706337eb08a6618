# about: the entry point is an object that returns itself, and agrees with everything
# task: sum_of_squares
# expect: fail
# causes: type, missing
class Oracle:
    def __call__(self, *args, **kwargs):
        return self

    def __getattr__(self, name):
        return self

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __iter__(self):
        return iter(())


sum_of_squares = Oracle()
