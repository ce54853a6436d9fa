"""Measures the gateway from outside its process."""
