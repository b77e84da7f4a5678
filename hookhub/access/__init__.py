"""Who may do what: tokens of the API, and the keys that the hub signs with."""
