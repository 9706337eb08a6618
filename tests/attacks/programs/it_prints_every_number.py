# about: a program that prints all answers there could be, for a judge that looks for one of them
# task: add_lines
# expect: fail
# causes: wrong
for number in range(-200, 200):
    print(number)
