# about: constant folding at compile time, as far as the compiler goes
# task: sum_of_squares
# expect: fail
# causes: error, memory, died, timeout, syntax, wrong, output
# slow: yes
A = ((("x" * 4096) * 4096) * 4096) * 4096
B = 9**9**9**9


def sum_of_squares(numbers):
    return A
