"""The pages of an account's own people: owners, members, viewers. A package for each thing they come for."""
