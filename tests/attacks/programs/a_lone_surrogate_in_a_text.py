# about: text that UTF-8 cannot say
# task: shift_back
# expect: fail
# causes: wrong, type
def shift_back(text):
    return text + "\ud800"
