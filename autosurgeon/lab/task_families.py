"""The four task families of the lab: the words of prompts and the code of references.

A family has three slots; a task picks one option for each. An option consists of the words for the prompt and the code
for the reference. `rare` options are rare in the base model's training: the base fails them, and surgery can teach
them, because the base has seen a few (DESIGN, the lab: without exposure nothing generalizes).
"""

from __future__ import annotations

from typing import NamedTuple


class Option(NamedTuple):
    """One choice for a slot: the words of the prompt and the code of the reference."""

    words: str
    code: str
    rare: bool = False


class Family(NamedTuple):
    """Three slots, and the templates of the sentence and the program.

    `sentence` and each line of `body` are `str.format` templates over `{0}`, `{1}`, `{2}` (the words or the code of the
    slots); `result` is the expression that a function returns and a program prints. `argument` is the name of the
    input, which `read` takes from standard input.
    """

    name: str
    argument: str
    input_words: str
    read: str
    sentence: str
    body: tuple[str, ...]
    result: str
    slots: tuple[tuple[Option, ...], tuple[Option, ...], tuple[Option, ...]]


LISTS = Family(
    name="lists",
    argument="xs",
    input_words="integers on one line",
    read="[int(t) for t in input().split()]",
    sentence="keep the {0}, {1} each, {{verb}} the {2}",
    body=("xs = [x for x in xs if {0}]", "xs = [{1} for x in xs]"),
    result="{2}",
    slots=(
        (
            Option("even numbers", "x % 2 == 0"),
            Option("odd numbers", "x % 2 == 1"),
            Option("positive numbers", "x > 0"),
            Option("negative numbers", "x < 0"),
            Option("numbers above 5", "x > 5"),
            Option("numbers below 10", "x < 10"),
            Option("nonzero numbers", "x != 0"),
            Option("numbers up to 3", "x <= 3"),
            Option("numbers from -4 up", "x >= -4"),
            Option("multiples of 3", "x % 3 == 0", rare=True),
            Option("two digit numbers", "10 <= abs(x) <= 99", rare=True),
        ),
        (
            Option("double", "x * 2"),
            Option("square", "x * x"),
            Option("negate", "-x"),
            Option("add one to", "x + 1"),
            Option("subtract 3 from", "x - 3"),
            Option("halve", "x // 2"),
            Option("take the absolute value of", "abs(x)"),
            Option("add 10 to", "x + 10"),
            Option("triple", "x * 3"),
            Option("cap at 7", "min(x, 7)", rare=True),
            Option("take the last digit of", "abs(x) % 10", rare=True),
        ),
        (
            Option("sum", "sum(xs)"),
            Option("count", "len(xs)"),
            Option("list", "xs"),
            Option("sorted list", "sorted(xs)"),
            Option("reversed list", "xs[::-1]"),
            Option("largest or 0", "max(xs, default=0)"),
            Option("smallest or 0", "min(xs, default=0)"),
            Option("first two", "xs[:2]"),
            Option("sum plus one", "sum(xs) + 1"),
            Option("number of distinct values", "len(set(xs))", rare=True),
            Option("every second one", "xs[::2]", rare=True),
        ),
    ),
)

STRINGS = Family(
    name="strings",
    argument="s",
    input_words="a sentence",
    read="input()",
    sentence="take the words {0}, {1} each, {{verb}} {2}",
    body=("ws = [w for w in s.split() if {0}]", "ws = [{1} for w in ws]"),
    result="{2}",
    slots=(
        (
            Option("longer than 3 letters", "len(w) > 3"),
            Option("shorter than 5 letters", "len(w) < 5"),
            Option("that start with b", "w.startswith('b')"),
            Option("that end with e", "w.endswith('e')"),
            Option("that contain a", "'a' in w"),
            Option("without the letter o", "'o' not in w"),
            Option("of even length", "len(w) % 2 == 0"),
            Option("other than the", "w != 'the'"),
            Option("that start with a vowel", "w[0] in 'aeiou'", rare=True),
            Option("with no letter twice", "len(set(w)) == len(w)", rare=True),
        ),
        (
            Option("upper-case", "w.upper()"),
            Option("reverse", "w[::-1]"),
            Option("repeat", "w * 2"),
            Option("capitalize", "w.capitalize()"),
            Option("take the first letter of", "w[0]"),
            Option("add an s to", "w + 's'"),
            Option("drop the first letter of", "w[1:]"),
            Option("replace a by o in", "w.replace('a', 'o')"),
            Option("take the last two letters of", "w[-2:]", rare=True),
            Option("sort the letters of", "''.join(sorted(w))", rare=True),
        ),
        (
            Option("them joined by spaces", "' '.join(ws)"),
            Option("them joined by dashes", "'-'.join(ws)"),
            Option("them joined", "''.join(ws)"),
            Option("the list", "ws"),
            Option("how many", "len(ws)"),
            Option("the sorted list", "sorted(ws)"),
            Option("the first three", "ws[:3]"),
            Option("the reversed list", "ws[::-1]"),
            Option("the total length", "sum(len(w) for w in ws)"),
            Option("the longest", "max(ws, key=len, default='')", rare=True),
            Option("the set sorted", "sorted(set(ws))", rare=True),
        ),
    ),
)

INTEGERS = Family(
    name="integers",
    argument="n",
    input_words="an integer",
    read="int(input())",
    sentence="for each {0}, if it is {1}, {2}, {{verb}} the total",
    body=("t = 0", "for i in {0}:", "    if {1}:", "        t = {2}"),
    result="t",
    slots=(
        (
            Option("number from 1 to n", "range(1, n + 1)"),
            Option("number below n", "range(n)"),
            Option("digit of n", "map(int, str(n))"),
            Option("even number up to n", "range(0, n + 1, 2)"),
            Option("odd number up to n", "range(1, n + 1, 2)"),
            Option("number from n to 2n", "range(n, 2 * n + 1)"),
            Option("number from 2 to n", "range(2, n + 1)"),
            Option("third number up to n", "range(0, n + 1, 3)"),
            Option("divisor of n", "[d for d in range(1, n + 1) if n % d == 0]", rare=True),
            Option("square up to n", "[k * k for k in range(n) if k * k <= n]", rare=True),
        ),
        (
            Option("even", "i % 2 == 0"),
            Option("odd", "i % 2 == 1"),
            Option("above 4", "i > 4"),
            Option("below 8", "i < 8"),
            Option("not 1", "i != 1"),
            Option("a multiple of 3", "i % 3 == 0"),
            Option("not a multiple of 5", "i % 5 != 0"),
            Option("at least 2", "i >= 2"),
            Option("one digit long", "len(str(i)) == 1", rare=True),
            Option("a divisor of n", "i and n % i == 0", rare=True),
        ),
        (
            Option("add it", "t + i"),
            Option("add its square", "t + i * i"),
            Option("count it", "t + 1"),
            Option("add twice it", "t + 2 * i"),
            Option("subtract it", "t - i"),
            Option("keep the largest", "max(t, i)"),
            Option("keep the last", "i"),
            Option("add it plus one", "t + i + 1"),
            Option("add ten", "t + 10"),
            Option("add its last digit", "t + i % 10", rare=True),
            Option("double the total and add it", "2 * t + i", rare=True),
        ),
    ),
)

DICTS = Family(
    name="dicts",
    argument="ws",
    input_words="words on one line",
    read="input().split()",
    sentence="group the words by {0}, collect {1}, {{verb}} {2} per group",
    body=("d = {{}}", "for w in ws:", "    d.setdefault({0}, []).append({1})"),
    result="{{k: {2} for k, v in d.items()}}",
    slots=(
        (
            Option("length", "len(w)"),
            Option("first letter", "w[0]"),
            Option("upper-case form", "w.upper()"),
            Option("whether they contain a", "'a' in w"),
            Option("first two letters", "w[:2]"),
            Option("whether they are long", "len(w) > 4"),
            Option("number of e", "w.count('e')"),
            Option("last letter", "w[-1]", rare=True),
            Option("sorted letters", "''.join(sorted(w))", rare=True),
        ),
        (
            Option("the words", "w"),
            Option("their lengths", "len(w)"),
            Option("their reversals", "w[::-1]"),
            Option("them in upper case", "w.upper()"),
            Option("their first letters", "w[0]"),
            Option("their tails", "w[1:]"),
            Option("them with an s", "w + 's'"),
            Option("their number of o", "w.count('o')", rare=True),
            Option("their middle letters", "w[len(w) // 2]", rare=True),
        ),
        (
            Option("the count", "len(v)"),
            Option("the list", "v"),
            Option("the sorted list", "sorted(v)"),
            Option("the first", "v[0]"),
            Option("the largest", "max(v)"),
            Option("the smallest", "min(v)"),
            Option("the reversed list", "v[::-1]"),
            Option("the last", "v[-1]"),
            Option("the number of distinct", "len(set(v))", rare=True),
            Option("the first two", "v[:2]", rare=True),
        ),
    ),
)

FAMILIES = (LISTS, STRINGS, INTEGERS, DICTS)
