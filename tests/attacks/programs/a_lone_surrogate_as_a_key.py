# about: text that UTF-8 cannot say, in a dict that would otherwise be right
# task: count_letters
# expect: fail
# causes: wrong, type
def count_letters(text):
    counts = {letter: text.count(letter) for letter in text}
    counts["\udfff"] = 1
    return counts
