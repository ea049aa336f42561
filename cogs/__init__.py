"""Thin Discord cogs: parse, call one service, show."""
