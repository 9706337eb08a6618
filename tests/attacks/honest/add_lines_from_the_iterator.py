# about: for line in sys.stdin, fileinput in spirit
# task: add_lines
# expect: pass
import sys

lines = [line.strip() for line in sys.stdin]
a = [int(line) for line in lines[1:] if line]
sys.stdout.write(str(sum(a)) + "\n" + str(max(a)))
