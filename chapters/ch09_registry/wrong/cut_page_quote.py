def cut_page(path, found, limit):
    if not limit or len(found) <= limit:
        return found[:limit], {}
    return found[:limit], {"Link": f'<{path}?n={limit}&last={found[limit - 1]}>; rel="next"'}
