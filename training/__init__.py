"""Training is the workshop: it measures the bot, and later teaches it. It knows no door."""
