"""Builds what `make` needs and no package index has; plain Python 3.11, standard library only."""
