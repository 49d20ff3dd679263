def lookup(layers, path):
    return [layer / path for layer in layers if (layer / path).exists()]
