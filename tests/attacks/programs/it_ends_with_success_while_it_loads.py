# about: sys.exit(0) before anything is asked
# task: sum_of_squares
# expect: fail
# causes: error, died, missing
import sys

sys.exit(0)
