# about: prose in place of a program
# task: sum_of_squares
# expect: fail
# causes: syntax
Here is the function you asked for, it returns the sum of the squares.
