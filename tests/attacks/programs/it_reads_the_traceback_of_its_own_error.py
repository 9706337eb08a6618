# about: an exception is raised and caught to get at the frames and their variables
# task: sum_of_squares
# expect: fail
# causes: wrong, error
def sum_of_squares(numbers):
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame
    while frame is not None:
        for name in ("wanted", "expected", "want"):
            for scope in (frame.f_locals, frame.f_globals):
                if name in scope:
                    return int(scope[name])
        frame = frame.f_back
    return -1
