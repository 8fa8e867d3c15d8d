"""Read product photos: a path or bytes in, an upright sRGB picture out, or a plain reason why not.

A photo that cannot be read is never replaced, half shown or guessed: `UnreadablePhoto` names it and says why.
Everything here may be called from many threads at once.

reading   bytes from the disk
formats   which format they are of
limits    what is refused before it takes memory or time
decoding  bytes to a picture
colours   upright, sRGB, on white
thumbnails  small pictures for pages and terminals
truncation  cut off, or damaged?
crop      a part of a photo
views     several views of one photo
"""

from featx.images.decoding import Photo, decode_photo, digest_of, read_photo, upright_rgb
from featx.images.reading import UnreadablePhoto, read_bytes

__all__ = ["Photo", "UnreadablePhoto", "decode_photo", "digest_of", "read_bytes", "read_photo", "upright_rgb"]
