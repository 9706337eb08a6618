# about: a thread throws SystemExit into the main thread while the server's code runs there
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
import ctypes
import threading
import time


def throw(target):
    for _ in range(2000):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(target), ctypes.py_object(SystemExit))
        time.sleep(0.0001)


def sum_of_squares(numbers):
    threading.Thread(target=throw, args=(threading.main_thread().ident,), daemon=True).start()
    return -1
