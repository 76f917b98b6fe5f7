"""The project package and the shared kernel: what every part uses and no part owns."""
