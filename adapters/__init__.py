"""Adapters are the doors: they translate between a platform and the bot, and never decide."""
