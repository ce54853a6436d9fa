"""Where concrete objects are built: a node from its configuration, and the self-test."""
