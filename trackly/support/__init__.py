"""The support staff's admin: site, index, search, and the story of each kind of thing. A composition root: it may read all."""
