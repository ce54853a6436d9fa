"""Timelines: what is kept of a call, and how it is shown."""
