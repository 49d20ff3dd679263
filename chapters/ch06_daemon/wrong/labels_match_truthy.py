def labels_match(wanted, labels):
    parts = [w.partition("=") for w in wanted]
    return all(n in labels and (not v or labels[n] == v) for n, _, v in parts)
