"""What commands have in common: options, printing, which hub is meant."""
