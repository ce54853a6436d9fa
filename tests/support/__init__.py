"""What the tests against foreign programs share: far ends, browsers, captures, measuring."""
