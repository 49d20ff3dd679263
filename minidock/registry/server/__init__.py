"""A registry of your own: the server's side of the distribution-spec.

``store`` is what is on the disk, ``uploads`` how blobs come in, ``documents`` what a manifest refers to.
``application`` is the table of requests, answered by ``blobs``, ``incoming`` and ``manifests``; ``access`` says who may
do what, ``upstream`` makes the registry a cache of another one, ``collecting`` removes what nobody needs any more.
"""
