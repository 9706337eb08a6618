# about: code for the main program at the end, and output while it loads
# task: sum_of_squares
# expect: pass
def sum_of_squares(numbers):
    """Sum the squares.

    >>> sum_of_squares([1, 2, 3])
    14
    """
    return sum(n * n for n in numbers)


print(sum_of_squares([1, 2, 3]))
if __name__ == "__main__":
    import doctest

    doctest.testmod()
    input("Press enter")
