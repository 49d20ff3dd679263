import struct
def header(stream, length):
    return struct.pack(">BL", stream, length)
