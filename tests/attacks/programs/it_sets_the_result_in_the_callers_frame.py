# about: the grader's own variables are overwritten through the frame, then the process ends
# task: sum_of_squares
# expect: fail
# causes: died, wrong, error
import ctypes
import os
import sys


def sum_of_squares(numbers):
    frame = sys._getframe(1)
    while frame:
        for name in list(frame.f_locals):
            if name in ("result", "status", "stat", "details", "passed", "verdict", "ok", "wanted", "failed"):
                frame.f_locals[name] = True
                ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
        frame = frame.f_back
    os._exit(0)
