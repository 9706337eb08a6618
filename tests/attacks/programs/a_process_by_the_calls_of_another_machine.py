# about: fork by the system calls of 32-bit programs, which have other numbers
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import ctypes
import mmap
import os
import time


def sum_of_squares(numbers):
    if os.uname().machine != "x86_64":
        return -1
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\x53\xb8\x02\x00\x00\x00\xcd\x80\x5b\xc3")  # push rbx; mov eax, 2; int 0x80; pop rbx; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == 0:
        ctypes.CDLL(None).prctl(15, b"attack-86399.5", 0, 0, 0)
        os.setsid()
        os.closerange(0, 4096)
        time.sleep(86399.5)
    return -1
