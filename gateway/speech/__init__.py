"""How values are spoken: digits, numbers, dates, times and amounts as words of a language. Pure.

A language is one module with one `Language` and one row of `LANGUAGES`.
"""
