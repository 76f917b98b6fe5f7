"""The inbound half: requests received, stored, worked off, and what came of them."""
