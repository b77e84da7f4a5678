"""Commands that speak to a running hub."""
