def labels_match(wanted, labels):
    for each in wanted:
        name, equals, value = each.partition("=")
        if not labels.get(name) and not equals:
            return False
        if equals and labels.get(name) != value:
            return False
    return True
