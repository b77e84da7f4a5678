"""How HTTP/1.1 is spoken with receivers."""
