# about: an async function, whose result nobody awaits
# task: sum_of_squares
# expect: fail
# causes: type, wrong, error
async def sum_of_squares(numbers):
    return sum(n * n for n in numbers)
