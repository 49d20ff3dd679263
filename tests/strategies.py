"""Hypothesis strategies that more than one test uses, by the part of the engine that they are about."""

from __future__ import annotations

from hypothesis import strategies as st

from minidock.oci import runtime as oci

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
