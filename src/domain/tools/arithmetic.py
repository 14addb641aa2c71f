"""Numbers for the calculator: exact where they can be, else rounded to 40 digits; bounded in size.

Integers, decimals and their fractions are exact; roots, logarithms and angles are rounded.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow, Underflow
from fractions import Fraction
from typing import Final

_MAX_BITS: Final = 3_200
_MAX_EXPONENT: Final = 950
_MAX_FACTORIAL: Final = 450
_MAX_ANGLE: Final = 10**30
_MAX_PLACES: Final = 100
_SHOWN_DIGITS: Final = 15
_EXACT_DIGITS: Final = 50
_NEGLIGIBLE: Final = Fraction(1, 10**30)
_TRAPS: Final = [InvalidOperation, DivisionByZero, Overflow, Underflow]
_ROUNDED: Final = Context(prec=40, Emax=1000, Emin=-1000, traps=_TRAPS)
_ANGLES: Final = Context(prec=100, traps=_TRAPS)
_PI: Final = Decimal(
    "3.141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117068"
)


class CalculationError(Exception):
    """The expression can't be calculated. The message says why, for a model or a person."""


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction
    exact: bool = True


def literal(text: str) -> Number:
    _, _, exponent = text.lower().partition("e")
    if exponent and (len(exponent) > 10 or abs(int(exponent)) > _MAX_EXPONENT):
        raise CalculationError("The number's exponent is too large.")
    return _bounded(Fraction(text), exact=True)


def _bounded(value: Fraction, *, exact: bool) -> Number:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise CalculationError("A number of the calculation is too large or too small.")
    return Number(value if exact else Fraction(_decimal(value, _ROUNDED)), exact)


def _decimal(value: Fraction, context: Context) -> Decimal:
    return context.divide(Decimal(value.numerator), Decimal(value.denominator))


def _rounded(calculate: Callable[[], Decimal]) -> Number:
    try:
        return _bounded(Fraction(calculate()), exact=False)
    except DecimalException as problem:
        raise CalculationError("A number of the calculation is too large, too small or not defined.") from problem


def printed(number: Number) -> str:
    shown = Context(prec=_EXACT_DIGITS)
    value = _decimal(number.value, shown)
    if number.exact and number.value.denominator == 1:
        value = Decimal(number.value.numerator)
    elif not number.exact or shown.flags[Inexact]:
        value = _decimal(number.value, Context(prec=_SHOWN_DIGITS))
    if not value:
        return "0"
    sign = "-" if value < 0 else ""
    every_digit = "".join(map(str, value.as_tuple().digits))
    digits = every_digit.rstrip("0")
    power = value.adjusted()
    if power < -7 or (power > 20 and len(digits) <= _SHOWN_DIGITS):
        return f"{sign}{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{power}"
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def add(left: Number, right: Number) -> Number:
    total, exact = left.value + right.value, left.exact and right.exact
    if not exact and abs(total) < _NEGLIGIBLE * abs(left.value):
        total = Fraction(0)  # what is left of two rounded numbers that are the same
    return _bounded(total, exact=exact)


def subtract(left: Number, right: Number) -> Number:
    return add(left, Number(-right.value, right.exact))


def multiply(left: Number, right: Number) -> Number:
    return _bounded(left.value * right.value, exact=left.exact and right.exact)


def division(divide: Callable[[Fraction, Fraction], Fraction | int]) -> Callable[[Number, Number], Number]:
    def division(left: Number, right: Number) -> Number:
        if not right.value:
            raise CalculationError("Division by zero.")
        return _bounded(Fraction(divide(left.value, right.value)), exact=left.exact and right.exact)

    return division


def power(left: Number, right: Number) -> Number:
    base, exponent = left.value, right.value
    if not base and exponent < 0:
        raise CalculationError("Division by zero.")
    if exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if (bits - 1) * abs(exponent.numerator) > _MAX_BITS:
            raise CalculationError("The power is too large or too small.")
        return _bounded(base**exponent.numerator, exact=left.exact and right.exact)
    if base < 0:
        raise CalculationError("A negative number has no real power with a fraction.")
    if not base:
        return left
    return _rounded(lambda: _ROUNDED.power(_decimal(base, _ROUNDED), _decimal(exponent, _ROUNDED)))


def square_root(number: Number) -> Number:
    if number.value < 0:
        raise CalculationError("A negative number has no real square root.")
    top, bottom = math.isqrt(number.value.numerator), math.isqrt(number.value.denominator)
    if number.exact and Fraction(top * top, bottom * bottom) == number.value:
        return Number(Fraction(top, bottom))
    return _rounded(lambda: _ROUNDED.sqrt(_decimal(number.value, _ROUNDED)))


def logarithm(number: Number, base: Number | None = None) -> Number:
    if number.value <= 0 or (base and base.value <= 0):
        raise CalculationError("Only positive numbers have a logarithm.")
    natural = _rounded(lambda: _ROUNDED.ln(_decimal(number.value, _ROUNDED)))
    return division(Fraction.__truediv__)(natural, logarithm(base)) if base else natural


def exponential(number: Number) -> Number:
    return _rounded(lambda: _ROUNDED.exp(_decimal(number.value, _ROUNDED)))


def factorial(number: Number) -> Number:
    if number.value.denominator != 1 or not 0 <= number.value <= _MAX_FACTORIAL:
        raise CalculationError(f"factorial takes a whole number from 0 to {_MAX_FACTORIAL}.")
    return _bounded(Fraction(math.factorial(number.value.numerator)), exact=number.exact)


def round_half_up(number: Number, places: Number | None = None) -> Number:
    """Halves go away from zero, as people round."""
    count = places.value if places else Fraction(0)
    if count.denominator != 1 or abs(count) > _MAX_PLACES:
        raise CalculationError(f"round takes a whole number of places up to {_MAX_PLACES}.")
    scale = Fraction(10) ** count.numerator
    whole = math.floor(abs(number.value) * scale + Fraction(1, 2))
    return _bounded((whole if number.value >= 0 else -whole) / scale, exact=number.exact)


def sine(number: Number, shift: Decimal = Decimal(0)) -> Number:
    """The Taylor series of sin(number + shift), after taking whole turns off."""
    if abs(number.value) > _MAX_ANGLE:
        raise CalculationError("The angle is too large.")
    turn = _ANGLES.multiply(_PI, Decimal(2))
    angle = _ANGLES.remainder_near(_ANGLES.add(_decimal(number.value, _ANGLES), shift), turn)
    term = total = angle
    square = _ANGLES.minus(_ANGLES.multiply(angle, angle))
    for step in range(2, 120, 2):
        term = _ANGLES.divide(_ANGLES.multiply(term, square), Decimal(step * (step + 1)))
        total = _ANGLES.add(total, term)
    if abs(number.value) + abs(Fraction(shift)) > 1 and abs(Fraction(total)) < _NEGLIGIBLE:
        return Number(Fraction(0), exact=False)
    return _bounded(Fraction(total), exact=False)


def cosine(number: Number) -> Number:
    return sine(number, _ANGLES.divide(_PI, Decimal(2)))


def tangent(number: Number) -> Number:
    return divide(sine(number), cosine(number))


def logarithm_to_ten(number: Number) -> Number:
    return logarithm(number, Number(Fraction(10)))


def absolute(number: Number) -> Number:
    return Number(abs(number.value), number.exact)


def floor(number: Number) -> Number:
    return Number(Fraction(math.floor(number.value)), number.exact)


def ceiling(number: Number) -> Number:
    return Number(Fraction(math.ceil(number.value)), number.exact)


def least(*numbers: Number) -> Number:
    return min(numbers, key=lambda number: number.value)


def greatest(*numbers: Number) -> Number:
    return max(numbers, key=lambda number: number.value)


divide = division(Fraction.__truediv__)
floor_divide = division(Fraction.__floordiv__)
remainder = division(Fraction.__mod__)
PI: Final = Number(Fraction(_ROUNDED.plus(_PI)), exact=False)
E: Final = Number(Fraction(_ROUNDED.exp(Decimal(1))), exact=False)
