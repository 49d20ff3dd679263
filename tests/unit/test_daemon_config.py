"""The daemon's options: two places, no contradictions, no typing mistakes, nobody from outside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.daemon.config import Config, check_host, load, parse_host
from minidock.errors import InvalidInput


def write(directory: Path, document: object) -> str:
    """A configuration file with this content; its path."""
    path = directory / "daemon.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_flags_and_file_add_up(tmp_path: Path) -> None:
    """What only one of the two says is taken from it, the rest are defaults."""
    file = write(tmp_path, {"data-root": "/somewhere", "insecure-registries": ["r:5000"], "live-restore": True})
    config = load(["--config-file", file, "-H", "unix:///a", "-H", "tcp://127.0.0.1:1", "--bip", "10.1.0.1/24"])
    assert config.hosts == ["unix:///a", "tcp://127.0.0.1:1"]
    assert (config.data_root, config.exec_root) == (Path("/somewhere"), Path("/run/minidock"))
    assert config.insecure_registries == ["r:5000"] and config.live_restore and config.bip == "10.1.0.1/24"


def test_address_pools_as_docker_writes_them(tmp_path: Path) -> None:
    """Objects in the file, words on the command line."""
    file = write(tmp_path, {"default-address-pools": [{"base": "10.10.0.0/16", "size": 24}]})
    assert load(["--config-file", file]).default_address_pools == ["base=10.10.0.0/16,size=24"]
    words = ["--config-file", write(tmp_path, {}), "--default-address-pool", "base=10.10.0.0/16,size=24"]
    assert load(words).default_address_pools == ["base=10.10.0.0/16,size=24"]


def test_both_is_a_conflict(tmp_path: Path) -> None:
    """As Docker says it, with both values."""
    file = write(tmp_path, {"data-root": "/a"})
    with pytest.raises(InvalidInput, match=r"both as a flag and in .*: data-root: \(from flag: /b, from file: /a\)"):
        load(["--config-file", file, "--data-root", "/b"])


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"data-rot": "/a"}, "don't match any configuration option: data-rot"),
        ({"data-root": 7}, "data-root must be a string, not 7"),
        ({"hosts": "unix:///a"}, "hosts must be a list of strings"),
        ({"insecure-registries": [1]}, "insecure-registries must be a list of strings"),
        ({"live-restore": "yes"}, 'live-restore must be true or false, not "yes"'),
        ({"log-level": "loud"}, "log-level 'loud' is none of"),
        ({"bip": "nonsense"}, "bip 'nonsense'"),
        ({"fixed-cidr-v6": "fd12::/64"}, "--fixed-cidr-v6 needs --ipv6"),
        ({"ipv6": True, "fixed-cidr-v6": "fd12::1/64"}, "invalid IPv6 subnet: fd12::1/64 has host bits set"),
        ({"ipv6": True, "fixed-cidr-v6": "fd12::/128"}, "fd12::/128 has no room for a gateway and a container"),
        ({"hosts": ["tcp://0.0.0.0:2375"]}, "would give root on this machine"),
        ({"builder": {"gc": {"defaultKeepStorage": "much"}}}, "invalid size: 'much'"),
        ({"builder": {"gc": {"enabled": "yes"}}}, "nothing else is known"),
        ({"builder": {"gc": {"policy": []}}}, "nothing else is known"),
        ([], "not a JSON object"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, document: object, text: str) -> None:
    """Named, and never ignored."""
    with pytest.raises(InvalidInput, match=text) as caught:
        load(["--config-file", write(tmp_path, document)])
    assert "\n" not in str(caught.value)


def test_how_much_builds_may_keep(tmp_path: Path) -> None:
    """A tenth of the disk, what the file says in units of 1024, or anything."""

    def limit(**wish: object) -> int | None:
        file = write(tmp_path, {"builder": {"gc": wish}})
        return load(["--config-file", file, "--data-root", str(tmp_path)]).build_cache_limit()

    assert limit() == limit(enabled=True) == shutil.disk_usage(tmp_path).total // 10
    assert limit(defaultKeepStorage="20GB") == 20 * 1024**3
    assert limit(enabled=False, defaultKeepStorage="20GB") is None


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    """The default one need not."""
    with pytest.raises(InvalidInput, match="no such configuration file"):
        load(["--config-file", str(tmp_path / "missing.json")])


@given(st.ip_addresses())
def test_only_loopback_is_listened_on(address: object) -> None:
    """Whoever reaches the API is root: any other address is refused, in whatever form it comes."""
    host = f"[{address}]" if ":" in str(address) else str(address)
    if getattr(address, "is_loopback", False):
        check_host(Config(), f"tcp://{host}:1")
        assert parse_host(f"tcp://{host}:1") == (str(address), 1)
    else:
        with pytest.raises(InvalidInput, match="would give root"):
            check_host(Config(), f"tcp://{host}:1")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "line 1, column 1: the file is empty"),
        ("{", "line 1, column 2: the file ends too early"),
        ('{\n  "bip" "x"\n}', 'line 2, column 9: a : is missing before "x"'),
        ('{\n  "bip": "x"\n  "ipv6": true\n}', 'line 3, column 3: a , is missing before "ipv6":'),
        ('{"ipv6": True}', "line 1, column 10: not JSON: True}"),
        ("{'ipv6': true}", "line 1, column 2: JSON's strings are in double quotes"),
        ("{ipv6: true}", "line 1, column 2: a name in double quotes has to stand here, not ipv6:"),
        ('{\n// no\n"ipv6": true}', "line 2, column 1: JSON has no comments"),
        ('{"hosts": ["a",]}', "a comma too many before the ]"),
        ('{"ipv6": true,}', "a comma too many before the }"),
        ('{"bip": "x\n"}', "line 1, column 11: a string does not end on its line"),
        ('{"bip": "x}', "line 1, column 9: a string does not end on its line"),
        ("{}\n{}", "line 2, column 1: there is more after the end of the JSON: {"),
        ("log-level = debug", "line 1, column 1: not JSON: log-level"),
        ('{"ipv6": true, "ipv6": false}', "ipv6 is there twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(tmp_path: Path, content: str, text: str) -> None:
    """The file, the line, the column, and what people write by mistake by its name."""
    file = tmp_path / "daemon.json"
    file.write_text(content)
    with pytest.raises(InvalidInput) as caught:
        load(["--config-file", str(file)])
    assert str(caught.value).startswith(f"{file}: ") and text in str(caught.value)


@given(st.binary(max_size=40) | st.text("{}[]\",:'#/ \n\tat1", max_size=12).map(str.encode))
def test_any_file_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Nothing in it is beyond us."""
    file = tmp_path_factory.getbasetemp() / "daemon.json"
    file.write_bytes(content)
    try:
        load(["--config-file", str(file)])
    except InvalidInput as error:
        assert str(error).startswith(f"{file}: ") and "\n" not in str(error)


@pytest.mark.parametrize("host", ["", "x", "unix://", "unix://host/x", "http://127.0.0.1", "tcp://", "tcp://example.com:1",
                                  "tcp://127.0.0.1:99999", "fd://x"])  # fmt: skip
def test_hosts_that_are_none_are_refused(host: str) -> None:
    """Names are no addresses: what they mean may change after the check."""
    with pytest.raises(InvalidInput):
        parse_host(host)


def test_a_wrong_flag_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong, and where to read; not forty options."""
    with pytest.raises(SystemExit) as ended:
        load(["--nothing"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "minidockd: unrecognized arguments: --nothing (see 'minidockd --help')\n"
