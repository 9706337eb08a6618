# about: the plain answer
# task: apply_twice
# expect: pass
# tier: shared
def apply_twice(function, value):
    return function(function(value))
