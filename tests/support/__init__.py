"""What the core's tests share, and nobody else needs: plugins have ``hookhub.testing``."""
