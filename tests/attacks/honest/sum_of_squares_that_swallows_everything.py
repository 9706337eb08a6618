# about: bare handlers and a finally around correct code
# task: sum_of_squares
# expect: pass
def sum_of_squares(numbers):
    total = 0
    for n in numbers:
        try:
            total += n * n
            raise KeyboardInterrupt
        except BaseException:
            pass
        finally:
            continue
    return total
