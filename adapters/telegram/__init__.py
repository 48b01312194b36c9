"""Telegram: one door among others, by polling or webhook."""
