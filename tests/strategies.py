"""Hypothesis strategies that more than one test uses, by the part of the engine that they are about."""

from __future__ import annotations

from hypothesis import strategies as st

from minidock.images.archive import CHARACTER, DIRECTORY, FIFO, FILE, HARDLINK, SYMLINK, Entry
from minidock.oci import runtime as oci
from minidock.oci.image import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    ContainerDefaults,
    Descriptor,
    History,
    ImageConfig,
    Index,
    Manifest,
    RootFs,
)
from minidock.oci.reference import Reference

# --- runtime-spec documents: a config.json that could be, and one that could not ---

_words = st.text("abcdefghijklmnop0123456789", min_size=1, max_size=8)
_paths = st.lists(_words, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
_capabilities = st.lists(st.sampled_from(["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SYS_ADMIN"]), unique=True)
_namespace_types = ["user", "pid", "network", "mount", "ipc", "uts", "cgroup"]
_hooks = st.lists(st.builds(oci.Hook, path=_paths), max_size=1)
_profile = oci.Seccomp("SCMP_ACT_ALLOW", syscalls=[oci.SeccompRule(["reboot"], "SCMP_ACT_ERRNO")])

runtime_processes = st.builds(
    oci.Process,
    cwd=_paths,
    args=st.lists(_words, min_size=1, max_size=3),
    env=st.lists(_words.map(lambda word: f"{word}=1"), max_size=2),
    terminal=st.booleans(),
    user=st.builds(oci.User, uid=st.integers(0, oci.MAX_ID), gid=st.integers(0, oci.MAX_ID), username=st.just("")),
    capabilities=st.none()
    | st.builds(oci.CapabilitySets, bounding=_capabilities, effective=_capabilities, permitted=_capabilities),
    rlimits=st.lists(
        st.builds(
            lambda name, soft, more: oci.Rlimit(f"RLIMIT_{name}", soft, soft + more),
            st.sampled_from(["NOFILE", "NPROC", "AS"]),
            st.integers(0, 2**40),
            st.integers(0, 2**40),
        ),
        unique_by=lambda limit: limit.type,
        max_size=3,
    ),
    no_new_privileges=st.booleans(),
    oom_score_adj=st.none() | st.integers(-1000, 1000),
)


@st.composite
def runtime_specs(draw: st.DrawFn) -> oci.Spec:
    """A spec that passes validation, with a mount namespace, as every container of ours has."""
    types = ["mount", *draw(st.lists(st.sampled_from([t for t in _namespace_types if t != "mount"]), unique=True))]
    paths = {type: draw(st.sampled_from(["", f"/proc/1/ns/{type}"])) if type != "mount" else "" for type in types}
    destinations = draw(st.lists(_paths, max_size=3, unique=True))
    kinds = ["tmpfs", "bind", "proc", "sysfs", "cgroup"]
    mounts = [
        oci.Mount(path, draw(st.sampled_from(kinds)), "/tmp", draw(st.sampled_from([[], ["ro"], ["nosuid", "ro"]])))
        for path in destinations
    ]
    if draw(st.booleans()):
        mounts.insert(0, oci.Mount("/", "overlay", "overlay", ["lowerdir=/l", "upperdir=/u", "workdir=/w"]))
    return oci.Spec(
        oci_version="1.2.0",
        root=oci.Root("rootfs", readonly=draw(st.booleans())),
        process=draw(runtime_processes),
        hostname=draw(_words) if "uts" in types else "",
        mounts=mounts,
        hooks=draw(st.builds(oci.Hooks, _hooks, _hooks, _hooks, _hooks, _hooks, _hooks)),
        annotations=draw(st.sampled_from([{}, {"org.minidock.init": "true"}])),
        linux=oci.Linux(
            namespaces=[oci.Namespace(type, paths[type]) for type in draw(st.permutations(types))],
            uid_mappings=[oci.IdMapping(0, 100000, 65536)] if "user" in types and not paths["user"] else [],
            gid_mappings=[oci.IdMapping(0, 100000, 65536)] if "user" in types and not paths["user"] else [],
            rootfs_propagation=draw(st.sampled_from(["", "rslave", "private", "shared", "rshared"])),
            seccomp=draw(st.sampled_from([None, _profile])),
            sysctl=draw(st.sampled_from([{}, {"net.ipv4.ip_forward": "1"}])) if "network" in types else {},
            masked_paths=draw(st.lists(_paths, max_size=2)),
            readonly_paths=draw(st.lists(_paths, max_size=2)),
        ),
    )


# --- names and images: references, digests, manifests, configurations ---


def digest_texts() -> st.SearchStrategy[str]:
    """Digests of either algorithm."""
    return st.one_of(
        st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True), st.from_regex(r"sha512:[0-9a-f]{128}", fullmatch=True)
    )


@st.composite
def image_references(draw: st.DrawFn) -> Reference:
    """Full image names, with and without tag and digest."""
    component = st.from_regex(r"[a-z0-9]{1,5}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
    domain = draw(st.sampled_from(["docker.io", "localhost", "localhost:5000", "quay.io", "10.0.0.1:80", "[::1]:5000"]))
    path = draw(st.lists(component, min_size=1, max_size=3))
    if domain == "docker.io":
        # Docker Hub has no images at its root; and a first component with a dot or named localhost is a host.
        path = ["library", *path] if len(path) == 1 else path
        path = [f"x{path[0]}".replace(".", "-"), *path[1:]] if path[0] != "library" else path
    tag = draw(st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True))
    return Reference(domain, "/".join(path), tag, draw(st.none() | digest_texts()))


def descriptors(media_type: str = "application/vnd.oci.image.layer.v1.tar") -> st.SearchStrategy[Descriptor]:
    """Pointers to content."""
    return st.builds(
        Descriptor,
        media_type=st.just(media_type),
        digest=digest_texts(),
        size=st.integers(0, 2**60),
        annotations=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    )


def manifests() -> st.SearchStrategy[Manifest | Index]:
    """Manifests and indexes, of OCI's and of Docker's kind."""
    kinds = st.sampled_from(["", OCI_MANIFEST, DOCKER_MANIFEST])
    manifest = st.builds(
        Manifest,
        schema_version=st.just(2),
        media_type=kinds,
        config=descriptors(OCI_CONFIG),
        layers=st.lists(descriptors(), max_size=3),
        subject=st.none() | descriptors(OCI_MANIFEST),
    )
    index = st.builds(
        Index,
        schema_version=st.just(2),
        media_type=st.sampled_from(["", OCI_INDEX, DOCKER_INDEX]),
        manifests=st.lists(descriptors(OCI_MANIFEST), max_size=3),
    )
    return manifest | index


def image_configs() -> st.SearchStrategy[ImageConfig]:
    """Image configurations."""
    words = st.lists(st.text(max_size=8), max_size=3)
    defaults = st.builds(
        ContainerDefaults,
        user=st.text(max_size=5),
        env=words,
        entrypoint=words,
        cmd=words,
        volumes=st.dictionaries(st.text(max_size=5), st.just({}), max_size=2),
        labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
        stop_timeout=st.none() | st.integers(0, 100),
    )
    return st.builds(
        ImageConfig,
        architecture=st.sampled_from(["amd64", "arm64", ""]),
        os=st.just("linux"),
        created=st.text(max_size=10),
        config=defaults,
        rootfs=st.builds(RootFs, type=st.just("layers"), diff_ids=st.lists(digest_texts(), max_size=3)),
        history=st.lists(st.builds(History, created_by=st.text(max_size=5), empty_layer=st.booleans()), max_size=2),
    )


def archive_entries() -> st.SearchStrategy[Entry]:
    """Entries of an archive, with names, numbers and attributes that no ustar header can hold among them."""
    name = st.text("abc/é ", min_size=1, max_size=20).map(lambda text: f"x{text}") | st.just("n" * 300)
    numbers = st.integers(0, 2**21 + 5) | st.just(2**31)
    return st.builds(
        Entry,
        name=name,
        type=st.sampled_from([FILE, HARDLINK, SYMLINK, CHARACTER, DIRECTORY, FIFO]),
        mode=st.integers(0, 0o7777),
        uid=numbers,
        gid=numbers,
        mtime_ns=st.integers(-(2**60), 2**62),
        link=name,
        xattrs=st.dictionaries(
            st.sampled_from(["user.a", "security.capability"]), st.binary(min_size=1, max_size=30), max_size=2
        ),
    )
