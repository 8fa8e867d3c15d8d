"""The names of the two backbones that featx brings itself, for modules below the registry."""

BUILTIN = "builtin"
COLOUR = "colour"
