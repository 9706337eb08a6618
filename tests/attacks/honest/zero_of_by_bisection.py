# about: a zero by another way than the reference
# task: zero_of
# expect: pass
def zero_of(coefficients):
    def value(x):
        return sum(c * x**power for power, c in enumerate(coefficients))

    low, high = -1000.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        if value(low) * value(middle) <= 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2
