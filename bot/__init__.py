"""The bot is the heart: questions in, grounded answers out. It knows no wire format."""

__version__ = "0.1.0"
