def labels_match(wanted, labels):
    return any(w.partition("=")[0] in labels and ("=" not in w or labels[w.partition("=")[0]] == w.partition("=")[2]) for w in wanted)
