# about: the helper that the tests use becomes the identity, and so does the answer
# task: shift_back
# expect: fail
# causes: wrong
def shift(text):
    return text


def shift_back(text):
    return text
