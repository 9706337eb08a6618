# about: a program that reads more than there is, again and again, from the descriptor too
# task: add_lines
# expect: fail
# causes: timeout, error, wrong, died
# slow: yes
import os
import time

while True:
    os.read(0, 1)
    time.sleep(0.05)
