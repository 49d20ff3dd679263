"""Content store, layers, overlay snapshots, names, archives. :class:`Images` holds them together."""

from minidock.images.image import Image as Image
from minidock.images.image import Layer as Layer
from minidock.images.images import Deletion as Deletion
from minidock.images.images import Images as Images
from minidock.images.removal import Use as Use
from minidock.images.unpack import Limits as Limits
