"""Read product photos: a path, bytes or pixels in, an upright sRGB image out, or a plain reason why not.

A photo that cannot be read is never replaced, half shown or guessed: `UnreadablePhoto` names it and says why.
Everything here may be called from many threads at once.

places    the bytes of a photo, wherever it is
reading   bytes from the disk
archives  bytes from tar archives and Parquet files
objects   bytes from clouds
formats   which format they are of
limits    what is refused before it takes memory or time
decoding  bytes to an image
photos    a photo in any form: a path, bytes, an open file, a Pillow image, an array
colours   upright, sRGB, on white
thumbnails  small images for pages and terminals
truncation  cut off, or damaged?
crop      a part of a photo
views     several views of one photo
"""

from featx.images.decoding import decode_photo, digest_of, upright_rgb
from featx.images.photos import Photo, PhotoLike, UndecodedPhoto, holds_a_photo, open_photo, read_photo
from featx.images.places import mark_of, read_bytes, read_with_mark
from featx.images.reading import UnreadablePhoto

__all__ = [
    "Photo",
    "PhotoLike",
    "UndecodedPhoto",
    "UnreadablePhoto",
    "decode_photo",
    "digest_of",
    "holds_a_photo",
    "mark_of",
    "open_photo",
    "read_bytes",
    "read_photo",
    "read_with_mark",
    "upright_rgb",
]
