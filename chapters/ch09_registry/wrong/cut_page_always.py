from urllib.parse import urlencode


def cut_page(path, found, limit):
    page = found[:limit]
    if not limit or not page:
        return page, {}
    return page, {"Link": f'<{path}?{urlencode({"n": limit, "last": page[-1]})}>; rel="next"'}
