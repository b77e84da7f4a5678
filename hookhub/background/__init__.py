"""What the hub does beside requests and deliveries: outbox table, retention, charts, signals."""
