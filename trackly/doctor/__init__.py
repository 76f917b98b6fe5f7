"""Owns what is wrong with a set-up: looked at, never changed; findings with their fixes, for the command and for pages."""
