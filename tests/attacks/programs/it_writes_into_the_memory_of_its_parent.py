# about: /proc/<parent>/mem and process_vm_writev; it passes only when it could open or reach that memory
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import ctypes
import os

library = ctypes.CDLL(None, use_errno=True)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def sum_of_squares(numbers):
    parent = os.getppid()
    right = sum(n * n for n in numbers)
    try:
        os.close(os.open(f"/proc/{parent}/mem", os.O_RDWR))
        return right
    except OSError:
        pass
    ours, theirs = ctypes.create_string_buffer(8), Vector(id(None), 8)
    here = Vector(ctypes.addressof(ours), 8)
    if library.process_vm_readv(parent, ctypes.byref(here), 1, ctypes.byref(theirs), 1, 0) == 8:
        return right
    if library.process_vm_writev(parent, ctypes.byref(here), 0, ctypes.byref(theirs), 0, 0) == 0 and parent > 1:
        os.kill(parent, 0)
    return -1
