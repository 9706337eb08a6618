# about: it uses the helper of the prompt
# task: shift_back
# expect: pass
def shift_back(text):
    for _ in range(25):
        text = shift(text)
    return text
