"""Arithmetic that a model may ask for, in a grammar of its own: nothing is ever executed, and it always ends."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from domain.tools import arithmetic
from domain.tools.arithmetic import CalculationError as CalculationError
from domain.tools.arithmetic import Number

MAX_LENGTH: Final = 1_000
_MAX_DEPTH: Final = 50


def evaluate(expression: str) -> str:
    """The expression's value as a decimal number that is itself an expression of that value.

    Raises CalculationError, for any text, within a bounded time.
    """
    if len(expression) > MAX_LENGTH:
        raise CalculationError(f"The expression has more than {MAX_LENGTH} characters.")
    return arithmetic.printed(_Parser(_tokens(expression)).result())


_TYPED: Final[Mapping[int, str]] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **{ord(sign): plain for sign, plain in {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "π": "pi"}.items()},
}
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9]*)|(?P<sign>\*\*|//|[-+*/%^(),]))"
)


def _tokens(expression: str) -> list[tuple[str, str]]:
    text, position, tokens = expression.translate(_TYPED).rstrip(), 0, []
    while position < len(text):
        if not (match := _TOKEN.match(text, position)):
            raise CalculationError(f"{text[position:].lstrip()[:1]!r} is not part of an expression.")
        kind = str(match.lastgroup)
        tokens.append((kind, match[kind]))
        position = match.end()
    return [*tokens, ("end", "")]


_UNARY: Final = 30
_Binary = Callable[[Number, Number], Number]
_BINARY: Final[Mapping[str, tuple[int, int, _Binary]]] = {
    "+": (10, 11, arithmetic.add),
    "-": (10, 11, arithmetic.subtract),
    "*": (20, 21, arithmetic.multiply),
    "/": (20, 21, arithmetic.divide),
    "//": (20, 21, arithmetic.floor_divide),
    "%": (20, 21, arithmetic.remainder),
    "^": (40, _UNARY, arithmetic.power),
    "**": (40, _UNARY, arithmetic.power),
}
"""How strongly each binds to its left and to its right, and what it does."""

_CONSTANTS: Final = {"pi": arithmetic.PI, "e": arithmetic.E}
_FUNCTIONS: Final[Mapping[str, tuple[int, int, Callable[..., Number]]]] = {
    "sqrt": (1, 1, arithmetic.square_root),
    "abs": (1, 1, arithmetic.absolute),
    "round": (1, 2, arithmetic.round_half_up),
    "floor": (1, 1, arithmetic.floor),
    "ceil": (1, 1, arithmetic.ceiling),
    "min": (1, MAX_LENGTH, arithmetic.least),
    "max": (1, MAX_LENGTH, arithmetic.greatest),
    "ln": (1, 1, arithmetic.logarithm),
    "log": (1, 2, arithmetic.logarithm),
    "log10": (1, 1, arithmetic.logarithm_to_ten),
    "exp": (1, 1, arithmetic.exponential),
    "sin": (1, 1, arithmetic.sine),
    "cos": (1, 1, arithmetic.cosine),
    "tan": (1, 1, arithmetic.tangent),
    "factorial": (1, 1, arithmetic.factorial),
}
"""Fewest and most arguments, and the function. `log` of one number is natural."""


class _Parser:
    """Precedence climbing; calculates as it reads."""

    def __init__(self, tokens: Sequence[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def result(self) -> Number:
        value = self._expression(0)
        if self._tokens[self._next][0] != "end":
            raise CalculationError(
                f"Unexpected {self._tokens[self._next][1][:50]!r}: an operator is missing before it."
            )
        return value

    def _expression(self, minimum: int) -> Number:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise CalculationError(f"The expression is nested more than {_MAX_DEPTH} deep.")
        left = self._operand()
        while self._tokens[self._next][0] == "sign" and (binary := _BINARY.get(self._tokens[self._next][1])):
            strength, right_strength, operation = binary
            if strength < minimum:
                break
            self._next += 1
            left = operation(left, self._expression(right_strength))
        self._depth -= 1
        return left

    def _operand(self) -> Number:
        kind, text = self._tokens[self._next]
        self._next += 1
        if kind == "number":
            return arithmetic.literal(text)
        if kind == "name":
            return self._named(text.lower())
        if text == "(":
            value = self._expression(0)
            self._expect(")")
            return value
        if text in {"-", "+"}:
            value = self._expression(_UNARY)
            return value if text == "+" else Number(-value.value, value.exact)
        raise CalculationError(f"A number is missing before {text!r}." if text else "The expression ends too early.")

    def _named(self, name: str) -> Number:
        if self._tokens[self._next][1] != "(":
            if name not in _CONSTANTS:
                raise CalculationError(f"{name[:50]!r} is unknown; constants are {', '.join(_CONSTANTS)}.")
            return _CONSTANTS[name]
        if name not in _FUNCTIONS:
            raise CalculationError(f"{name[:50]!r} is unknown; functions are {', '.join(_FUNCTIONS)}.")
        fewest, most, function = _FUNCTIONS[name]
        self._next += 1
        arguments = [self._expression(0)]
        while self._tokens[self._next][1] == ",":
            self._next += 1
            arguments.append(self._expression(0))
        self._expect(")")
        if not fewest <= len(arguments) <= most:
            raise CalculationError(f"{name} can't take {len(arguments)} numbers.")
        return function(*arguments)

    def _expect(self, sign: str) -> None:
        if self._tokens[self._next][1] != sign:
            raise CalculationError(f"A {sign!r} is missing.")
        self._next += 1
