# about: whatever is written as JSON says what the cases want
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died
import json
import json.encoder


def lie(*args, **kwargs):
    return '{"value": ["int", "0xe"]}'


json.dumps = json.JSONEncoder.encode = json.encoder.encode_basestring_ascii = lie
json.loads = json.load = json.JSONDecoder.decode = lambda *args, **kwargs: {"passed": True}


def sum_of_squares(numbers):
    return -1
