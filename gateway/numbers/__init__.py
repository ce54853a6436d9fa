"""Telephone numbers: E.164, countries and types. Pure, and the only importer of phonenumbers."""
