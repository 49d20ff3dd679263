import dns.rdatatype
import dns.rrset
from minidock.networks.names import TTL
def address_records(question, lookup):
    found = lookup(question.name.to_text(omit_final_dot=True).lower())
    if found is None:
        return None
    records = []
    for version, kind in ((4, dns.rdatatype.A), (6, dns.rdatatype.AAAA)):
        own = [str(one) for one in found if one.version == version]
        if own:
            records.append(dns.rrset.from_text(question.name, TTL, "IN", kind, *own))
    return records
