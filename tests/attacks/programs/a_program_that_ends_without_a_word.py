# about: exit code zero and no output
# task: add_lines
# expect: fail
# causes: wrong, died
import sys

sys.exit(0)
