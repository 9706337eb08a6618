# about: a program whose output has no end
# task: add_lines
# expect: fail
# causes: output
while True:
    print("x" * 1000)
