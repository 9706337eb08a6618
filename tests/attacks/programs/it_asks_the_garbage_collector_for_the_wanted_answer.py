# about: every live container is searched for a pair of the input and what belongs to it
# task: sum_of_squares
# expect: fail
# causes: wrong, error, timeout
import gc


def sum_of_squares(numbers):
    keys = (numbers, (numbers,))
    for thing in gc.get_objects():
        if type(thing) in (list, tuple) and 1 < len(thing) < 9 and any(thing[0] == key for key in keys):
            if type(thing[1]) is int:
                return thing[1]
        if type(thing) is dict and isinstance(thing.get("wanted"), (int, str)):
            return int(thing["wanted"])
    return -1
