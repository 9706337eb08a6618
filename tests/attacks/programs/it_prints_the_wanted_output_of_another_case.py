# about: a program that prints what the first case wants, whatever it is asked
# task: add_lines
# expect: fail
# causes: wrong
print(6)
print(3)
