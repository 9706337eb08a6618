# about: in place of the error that the tests want, an answer that is too large to cross
# task: digit_sum
# expect: fail
# causes: type, error, wrong, output
def digit_sum(text):
    return sum(map(int, text)) if text.isdigit() or not text else "x" * 30_000_000
