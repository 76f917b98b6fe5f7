"""Owns the system checks: what is unsafe or unusable in this configuration, said before it hurts."""
