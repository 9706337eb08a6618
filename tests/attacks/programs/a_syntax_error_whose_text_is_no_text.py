# about: an error of syntax made by hand, which is none of the compiler's
# task: sum_of_squares
# expect: fail
# causes: syntax, error
raise SyntaxError("\ud800\x1b]0;pwned\x07\0" * 10_000)
