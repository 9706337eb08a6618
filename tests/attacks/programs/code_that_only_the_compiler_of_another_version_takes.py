# about: assignment to a keyword, a walrus at the top, a star without a target
# task: sum_of_squares
# expect: fail
# causes: syntax
print "sum"
None = 14
