"""Signing in, and who belongs to an account: members, roles, invitations."""
