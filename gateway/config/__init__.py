"""Configuration of a node: models, and YAML read strictly with located errors."""
