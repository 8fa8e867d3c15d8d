"""The names of the two backbones that featx brings itself, and of a family, for modules below the registry."""

BUILTIN = "builtin"
# The built-in networks that shipped so far, by the SHA-256 of their weights.
EDITIONS = {
    "9a510fa9712afd38ef7ed7876d7dc40775df6a86c6ae572b9fcfe541bb484180": "second",
    "5112587eaa27f109e47bb6c87aacd7eca4847c0f6f5d60ea34b3d029565b703b": "third",
}
COLOUR = "colour"
# What the names of networks that know texts too begin with.
OPEN_CLIP = "open_clip:"
