import secrets
def mac_of(address):
    last = address.packed if address else secrets.token_bytes(4)
    return "02:42:" + last.hex(":")
