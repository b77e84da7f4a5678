"""Replays: events of the past, sent to an endpoint once more."""
