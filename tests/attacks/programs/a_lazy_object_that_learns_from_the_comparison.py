# about: it remembers what it was compared with and answers that next time
# task: sum_of_squares
# expect: fail
# causes: type
learnt = []


class Student:
    def __eq__(self, other):
        learnt.append(other)
        return True

    def __hash__(self):
        return 1


def sum_of_squares(numbers):
    return learnt.pop() if learnt else Student()
