"""From bytes to what a handler is given, without keeping the loop from others."""
