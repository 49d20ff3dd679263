from urllib.parse import urlencode


def cut_page(path, found, limit):
    if not limit or len(found) <= limit:
        return found[:limit], {}
    return found[:limit], {"Link": f'<{path}?{urlencode({"n": limit, "last": found[limit]})}>; rel="next"'}
