# about: os.read and os.write on the bare descriptors
# task: add_lines
# expect: pass
import os

data = b""
while chunk := os.read(0, 7):
    data += chunk
a = [int(word) for word in data.split()][1:]
os.write(1, f"{sum(a)}\n{max(a)}\n".encode())
