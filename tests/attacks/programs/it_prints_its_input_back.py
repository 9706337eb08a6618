# about: a program that copies what it reads
# task: add_lines
# expect: fail
# causes: wrong
import sys

sys.stdout.write(sys.stdin.read())
