"""How values are spoken: digits, numbers, dates, times and amounts as words of a language. Pure.

A language is one module with one `Language` and one row of `LANGUAGES`.
"""

from gateway.speech.spoken import LANGUAGES, digit_words, languages, spoken
from gateway.speech.values import Kind

__all__ = ["LANGUAGES", "Kind", "digit_words", "languages", "spoken"]
