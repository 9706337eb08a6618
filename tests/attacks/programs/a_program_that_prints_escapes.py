# about: output that changes the terminal of whoever prints it
# task: add_lines
# expect: fail
# causes: wrong, type
print("\x1b]0;pwned\x07\x1b[2J\x9b2J\0")
