"""Commands for who runs a hub: they work on what is here."""
