import dns.rdatatype
import dns.rrset

from minidock.networks.names import TTL

def address_records(question, lookup):
    found = lookup(question.name.to_text(omit_final_dot=True).lower())
    if found is None:
        return None
    wanted = {dns.rdatatype.A: (4,), dns.rdatatype.AAAA: (6,), dns.rdatatype.ANY: (4, 6)}.get(question.rdtype, ())
    kinds = {4: "A", 6: "AAAA"}
    return [
        dns.rrset.from_text(question.name, TTL, "IN", kinds[one.version], str(one))
        for one in found
        if one.version in wanted
    ]
