import struct
def header(stream, length):
    return struct.pack("<BxxxL", stream, length)
