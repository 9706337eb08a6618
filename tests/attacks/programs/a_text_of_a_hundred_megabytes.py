# about: an answer that is larger than anybody should read
# task: shift_back
# expect: fail
# causes: output, memory, wrong, error, timeout
def shift_back(text):
    return "x" * 100_000_000
