# about: answers that are off by less than is forgiven
# task: halves
# expect: pass
def halves(numbers):
    return [n * 0.5 + 1e-9 for n in numbers]
