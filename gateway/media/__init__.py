"""The media plane: the native engine and its typed Python face."""
