"""The runtime-spec's documents: what is written can be read, and what cannot be is refused with its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from minidock.errors import InvalidSpec
from minidock.oci import runtime as oci
from tests import bundles
from tests.strategies import runtime_specs


@settings(max_examples=60)
@given(runtime_specs())
def test_round_trip(spec: oci.Spec) -> None:
    """A valid spec survives being written and read."""
    assert oci.parse(oci.encode(spec)) == spec


def test_a_config_as_docker_writes_it() -> None:
    """Names are the specification's: camel case, with its exceptions."""
    document = bundles.config("sh", oomScoreAdj=5, rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}])
    document["linux"]["resources"]["blockIO"] = {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]}
    document["linux"]["namespaces"].append({"type": "user"})
    document["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 5, "size": 1}]
    spec = oci.parse(json.dumps(document).encode())
    assert spec.process is not None and spec.process.oom_score_adj == 5
    assert spec.linux.uid_mappings == [oci.IdMapping(0, 5, 1)]
    assert spec.linux.resources is not None and spec.linux.resources.block_io is not None
    assert spec.linux.resources.block_io.throttle_read_iops_device[0].rate == 1
    assert '"hostID":5' in oci.encode(spec).decode()


def test_unknown_properties_are_ignored() -> None:
    """The specification may grow: what we do not know is no error."""
    document = bundles.config("sh", somethingNew={"a": 1})
    document["linux"]["intelRdt"] = {}
    assert oci.parse(json.dumps(document).encode()).hostname == "testhost"


def change(path: str, value: Any) -> dict[str, Any]:
    """A good document with one property changed; ``path`` is dotted."""
    document = bundles.config("sh")
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    return document


BAD = [
    ("ociVersion", "2.0.0", "ociVersion"),
    ("root.path", "", "root.path"),
    ("hostname", "x" * 65, "hostname"),
    ("process.cwd", "tmp", "not absolute"),
    ("process.args", [], "no command"),
    ("process.args", ["a\0b"], "NUL"),
    ("process.env", ["A=\0"], "NUL"),
    ("process.user", {"uid": -1, "gid": 0}, "range 0-2147483647"),
    ("process.user", {"uid": 0, "gid": 2**31}, "range 0-2147483647"),
    ("process.user", {"uid": 0, "gid": 0, "umask": 0o1000}, "umask"),
    ("process.oomScoreAdj", 1001, "oomScoreAdj"),
    ("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}] * 2, "twice"),
    ("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 2}], "over the hard limit"),
    ("process.rlimits", [{"type": "NOFILE", "soft": 1, "hard": 2}], "is no limit"),
    ("process.terminal", "yes", "terminal"),
    ("linux.namespaces", [{"type": "uts"}, {"type": "uts"}], "twice"),
    ("linux.namespaces", [{"type": "uts"}, {"type": "magic"}], "unknown type"),
    ("linux.namespaces", [{"type": "uts", "path": "proc/1/ns/uts"}], "not absolute"),
    ("linux.namespaces", [], "needs a uts namespace"),
    ("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}], "user namespace"),
    ("linux.rootfsPropagation", "sometimes", "rootfsPropagation"),
    ("linux.devices", [{"path": "dev/x", "type": "c"}], "absolute"),
    ("linux.devices", [{"path": "/dev/x", "type": "z"}], "unknown type"),
    ("linux.maskedPaths", ["proc/keys"], "not absolute"),
    ("linux.sysctl", {"net.ipv4/../../x": "1"}, "no name"),
    ("linux.sysctl", {"vm.swappiness": "1"}, "namespace"),
    ("linux.sysctl", {"kernel.shmmax": "1"}, "ipc namespace"),
    ("linux.sysctl", {"kernel.hostname": "x"}, "hostname"),
    ("mounts", [{"destination": ""}], "destination"),
    ("hooks", {"poststop": [{"path": "bin/x"}]}, "absolute"),
    ("hooks", {"poststop": [{"path": "/bin/x", "timeout": 0}]}, "timeout"),
]


@pytest.mark.parametrize(("path", "value", "why"), BAD, ids=[f"{path}-{why}" for path, _, why in BAD])
def test_values_that_cannot_be_are_errors(path: str, value: Any, why: str) -> None:
    """An invalid value is refused, and the message says which."""
    document = change(path, value)
    if path == "linux.sysctl" and "kernel.shmmax" in value:
        document["linux"]["namespaces"] = [{"type": "mount"}, {"type": "uts"}]
    with pytest.raises(InvalidSpec, match=why):
        oci.parse(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"ociVersion": "1.2.0"}', b"\xff\xfe"])
def test_what_is_no_document_is_an_error(data: bytes) -> None:
    """Broken JSON and missing parts are the caller's error, not ours."""
    with pytest.raises(InvalidSpec):
        oci.parse(data)
