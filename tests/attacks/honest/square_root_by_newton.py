# about: a root that is right within the tolerance only
# task: square_root
# expect: pass
def square_root(x):
    if x == 0:
        return 0
    guess = float(x)
    for _ in range(200):
        guess = (guess + x / guess) / 2
    return guess
