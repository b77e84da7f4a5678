"""What the hub tells people who run it: log lines, tracebacks, text that is safe for a terminal."""
