"""A gateway that puts a phone call into any browser tab and any Python program."""

__version__ = "0.1.0"
