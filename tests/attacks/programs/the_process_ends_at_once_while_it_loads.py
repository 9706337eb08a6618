# about: os._exit(0), which no handler sees
# task: sum_of_squares
# expect: fail
# causes: died
import os

os._exit(0)
