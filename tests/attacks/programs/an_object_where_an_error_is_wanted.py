# about: in place of the error that the tests want, an answer that cannot cross, which is an error of another kind
# task: digit_sum
# expect: fail
# causes: type, error, wrong
def digit_sum(text):
    return sum(map(int, text)) if text.isdigit() or not text else object()
