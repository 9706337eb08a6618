# about: bytes that are no UTF-8, NULs and escapes where lines of numbers are wanted
# task: add_lines
# expect: fail
# causes: wrong, type, error
import sys

sys.stdout.buffer.write(b"6\n3\n\xff\xfe\x00\x1b[2J")
