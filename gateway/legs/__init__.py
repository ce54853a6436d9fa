"""Legs: the two worlds a call can reach, one package each."""
