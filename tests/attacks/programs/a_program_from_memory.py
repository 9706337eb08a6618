# about: a file in memory is executed, so that no folder needs to be writable or executable
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died, timeout
# plain: no
import os
import shutil
import sys


def sum_of_squares(numbers):
    source = shutil.which("sleep") or sys.executable
    memory = os.memfd_create("attack")
    with open(source, "rb") as program:
        os.write(memory, program.read())
    os.setsid()
    os.execve(memory, ["sleep", "86399.5"], {})
