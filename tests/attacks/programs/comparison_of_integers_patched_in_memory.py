# about: the slot for comparing integers is overwritten by one that is always true
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, type
import ctypes

compare = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int)


@compare
def always(left, right, operation):
    return True


def sum_of_squares(numbers):
    word = ctypes.sizeof(ctypes.c_void_p)
    words = (ctypes.c_void_p * 60).from_address(id(int))
    # tp_richcompare stands right behind tp_doc, tp_traverse and tp_clear.
    for place in range(60):
        if words[place] == id(int.__doc__):
            break
    else:
        place = 22
    ctypes.c_void_p.from_address(id(int) + (place + 3) * word).value = ctypes.cast(always, ctypes.c_void_p).value
    return -5
