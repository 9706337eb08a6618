# about: an error of its own class for what is no digit
# task: digit_sum
# expect: pass
class NoDigit(Exception):
    def __init__(self, text, place):
        super().__init__(text)
        self.place = place


def digit_sum(text):
    for place, c in enumerate(text):
        if not "0" <= c <= "9":
            raise NoDigit(text, place)
    return sum(ord(c) - 48 for c in text)
