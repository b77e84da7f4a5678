"""Who may be called: URLs, names, and the addresses behind them."""
