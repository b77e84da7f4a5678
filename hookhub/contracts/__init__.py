"""What the core, its plugins and other programs agree on: shapes, rules. Pure."""
