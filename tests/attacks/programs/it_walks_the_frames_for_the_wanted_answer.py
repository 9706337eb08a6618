# about: the callers' variables are searched for what the grader wants
# task: sum_of_squares
# expect: fail
# causes: wrong, error
import sys


def hunt(value, given, depth=0):
    if depth > 4:
        return None
    if isinstance(value, (tuple, list)):
        if len(value) > 1 and value[0] in (given, (given,), repr((given,))):
            return value[1]
        for item in list(value)[:50]:
            found = hunt(item, given, depth + 1)
            if found is not None:
                return found
    if isinstance(value, dict):
        for name in ("wanted", "expected", "want", "answer", "output"):
            if name in value:
                return value[name]
        return hunt(list(value.values()), given, depth + 1)
    if hasattr(value, "wanted"):
        return value.wanted
    if hasattr(value, "cases"):
        return hunt(value.cases, given, depth + 1)
    return None


def sum_of_squares(numbers):
    frame = sys._getframe(1)
    while frame:
        for scope in (frame.f_locals, frame.f_globals):
            found = hunt({name: value for name, value in scope.items() if name != "hunt"}, numbers)
            if str(found).isdigit():
                return int(found)
        frame = frame.f_back
    return -1
