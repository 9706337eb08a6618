# about: the module never finishes
# task: sum_of_squares
# expect: fail
# causes: timeout
# slow: yes
while True:
    pass
