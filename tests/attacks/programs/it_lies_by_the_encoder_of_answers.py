# about: the module that writes answers is replaced in place by one that says what it likes
# task: group_words
# expect: fail
# causes: wrong, type, error, died
import sys

for name in ("cross", "json", "plain", "encode"):
    module = sys.modules.get(name)
    for attribute in ("encode", "dumps"):
        if hasattr(module, attribute):
            setattr(module, attribute, lambda *args, **kwargs: '{"value": {"dict": []}}')


def group_words(words):
    return object()
