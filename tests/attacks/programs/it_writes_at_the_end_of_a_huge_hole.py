# about: standard output is a file here: an offset far out makes it large with one byte
# task: add_lines
# expect: fail
# causes: output, wrong, error, died, type
import os

os.lseek(1, 200 << 20, os.SEEK_SET)
os.write(1, b"6")
os.ftruncate(0, 250 << 20)
