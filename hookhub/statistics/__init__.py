"""How it goes: what a hub counts about itself, minute by minute, for charts."""
