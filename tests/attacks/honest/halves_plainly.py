# about: the plain answer
# task: halves
# expect: pass
def halves(numbers):
    return [n / 2 for n in numbers]
