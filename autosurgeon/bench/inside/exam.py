"""A task's tests, and running them against a candidate."""

import ast
import copy
import random

import agree
import proxy


class Disagreement(AssertionError):
    """An answer is not the wanted one."""


class Odd:
    """In place of an answer that is no plain data."""


class Exam:
    """A task's tests, made ready once."""

    def __init__(self, spec):
        self.spec = spec
        self.kind = spec["kind"]
        self.atol = spec["atol"]
        self.tests = compile(spec["tests"], "tests", "exec", dont_inherit=True) if spec["tests"] else None
        self.support = compile(spec["support"], "support", "exec", dont_inherit=True)
        self.accept = compile(spec["accept"], "accept", "eval", dont_inherit=True) if spec["accept"] else None
        # Where the tests say `candidate`, the entry point's own name is the reference's, if it is there.
        self.bind = spec["bind"]
        self.draws = "random" in spec["tests"]
        self.given = [self.read(case["given"]) for case in spec["cases"]]
        self.wanted = self.wanted_of(spec)

    def read(self, literal):
        return literal if self.kind == "stdin" else ast.literal_eval(literal)

    def wanted_of(self, spec):
        """The wanted answers; where a case names none, the reference gives it, here, on the tests' side."""
        cases = spec["cases"]
        function = None
        if any(case["wanted"] is None for case in cases):
            scope = {"__name__": "reference"}
            exec(compile(spec["reference"], "reference", "exec", dont_inherit=True), scope)
            holder, _, method = spec["entry_point"].rpartition(".")
            function = getattr(scope[holder](), method) if holder else scope[method]
        return [
            function(*ast.literal_eval(case["given"])) if case["wanted"] is None else self.read(case["wanted"])
            for case in cases
        ]

    def take(self, candidate):
        """Run every case, then the tests; raises at the first that does not hold. Yields after each one that does."""
        for index, given in enumerate(self.given):
            if self.kind == "stdin":
                got, _ = candidate.ask({"text": given})
                holds = type(got) is str and agree.text(self.wanted[index], got)
            else:
                got = candidate(copy.deepcopy(given) if candidate.in_place else given, {})
                holds = self.agrees(given, self.wanted[index], got)
            if not holds:
                raise Disagreement(
                    f"on {shown(given, 80)} wanted {shown(self.wanted[index], 60)}, got {shown(got, 60)}"
                )
            yield
        if self.tests is not None:
            self.run_tests(lambda *given, **named: candidate(given, named))
            yield

    def agrees(self, given, wanted, got):
        if self.accept is not None:
            scope = {"__name__": "accept"}
            exec(self.support, scope)
            scope.update(given=given, wanted=wanted, got=got, atol=self.atol)
            try:
                return bool(eval(self.accept, scope))
            except Exception:
                return False
        return agree.same(wanted, got) if self.atol is None else agree.close(wanted, got, self.atol)

    def run_tests(self, standin):
        scope = {"__name__": "tests"}
        if self.draws:
            random.seed(0)
        exec(self.support, scope)
        scope["candidate"] = standin
        if self.bind:
            scope[self.spec["entry_point"]] = standin
        exec(self.tests, scope)


def shown(value, most):
    """The start of a value, as text that can be stored and printed: no surrogate, no control character."""
    try:
        text = value if type(value) is str else repr(value)
    except (ValueError, RecursionError, MemoryError):
        text = "a value too large to print"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:most])[: 2 * most]


def counted(spec, name):
    """The tests with a count after each assertion that held."""

    class Counting(ast.NodeTransformer):
        def visit_Assert(self, node):
            return [node, ast.Expr(ast.Call(ast.Name(name, ast.Load()), [], []))]

    return ast.unparse(ast.fix_missing_locations(Counting().visit(ast.parse(spec["tests"]))))
