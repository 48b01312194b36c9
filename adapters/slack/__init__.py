"""Slack: one door among others, over Socket Mode or HTTP."""
