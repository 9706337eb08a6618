# about: a class whose name, qualified name and module are those of int
# task: sum_of_squares
# expect: fail
# causes: type
namespace = {
    "__module__": "builtins",
    "__qualname__": "int",
    "__eq__": lambda self, other: True,
    "__hash__": lambda self: 14,
    "__repr__": lambda self: "14",
}
Impostor = type("int", (), namespace)


def sum_of_squares(numbers):
    return Impostor()
