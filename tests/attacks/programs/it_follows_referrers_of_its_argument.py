# about: whoever holds the argument may hold the wanted answer beside it
# task: sum_of_squares
# expect: fail
# causes: wrong, error, timeout
import gc


def sum_of_squares(numbers):
    seen, todo = set(), [numbers]
    while todo and len(seen) < 3000:
        thing = todo.pop(0)
        for holder in gc.get_referrers(thing):
            if id(holder) in seen or holder is todo:
                continue
            seen.add(id(holder))
            todo.append(holder)
            if isinstance(holder, tuple) and len(holder) == 2 and type(holder[1]) is int:
                return holder[1]
    return -1
