# about: the output waits in a handler at exit, as fast input-output templates do
# task: add_lines
# expect: pass
import atexit
import io
import sys

buffer = io.BytesIO()
atexit.register(lambda: sys.__stdout__.write(buffer.getvalue().decode()))
a = [int(input()) for _ in range(int(input()))]
buffer.write(f"{sum(a)}\n{max(a)}\n".encode())
