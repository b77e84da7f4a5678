"""The HTTP server: what Hypercorn does for the hub, and what the hub does itself."""
