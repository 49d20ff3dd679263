from urllib.parse import urlencode
def cut_page(path, found, limit):
    if not limit or len(found) <= limit:
        return found, {}
    page = found[:limit]
    return page, {"Link": f'<{path}?{urlencode({"n": limit, "last": page[-1]})}>; rel="next"'}
