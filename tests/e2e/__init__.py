"""Real browsers call real telephones through the running gateway."""
