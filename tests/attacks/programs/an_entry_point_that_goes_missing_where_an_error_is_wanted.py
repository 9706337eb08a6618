# about: in place of the error that the tests want, the function is deleted, so that calling it fails
# task: digit_sum
# expect: fail
# causes: missing, error, wrong
def digit_sum(text):
    if text == "":
        del globals()["digit_sum"]
    return sum(map(int, text))
