"""What people build: a C program in one stage for the next, Python on Debian, files from the web."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidock.images.elf import libraries
from tests.archives import archive, file
from tests.certificates import Authority
from tests.engine.build_contexts import Builder, context
from tests.engine.harness import Daemon, running_daemon, tiny_archive
from tests.fresh.machine import fresh_root
from tests.registries import debian_registry, htpasswd_auth, make_image, push, tar_of

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    """A daemon of this module's own."""
    with running_daemon() as daemon:
        yield Builder(daemon)


PROGRAM = """
static const char text[] = "compiled in a stage\\n";
void _start(void) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(1), "D"(1), "S"(text), "d"(sizeof text - 1) : "rcx", "r11");
    __asm__ volatile("syscall" : : "a"(60), "D"(0));
}
"""

MULTI_STAGE = """FROM tiny AS build
COPY tools /
WORKDIR /src
COPY hello.c .
RUN cc1 -quiet -fpreprocessed -O1 hello.c -o hello.s && as hello.s -o hello.o && ld hello.o -o hello
FROM scratch
COPY --from=build /src/hello /hello
ENTRYPOINT ["/hello"]
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the program speaks to the kernel of an x86_64 directly")
def test_a_compiled_program_alone_in_an_image(builder: Builder) -> None:
    """The compiler, assembler and linker of this host, in a stage that the image does not hold."""
    found = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout.strip()
    items = [file("Dockerfile", MULTI_STAGE.encode()), file("hello.c", PROGRAM.encode())]
    programs = {"cc1": Path(found)} | {name: Path(shutil.which(name) or name).resolve() for name in ("as", "ld")}
    wanted: dict[str, Path] = {f"bin/{name}": path for name, path in programs.items()}
    for path in programs.values():
        wanted |= {name.lstrip("/"): library for name, library in libraries(path).items()}
    items += [file(f"tools/{name}", path.read_bytes(), mode=0o755) for name, path in sorted(wanted.items())]
    built = builder.post(archive(items), t="hello")
    assert not built.error, built.text
    assert builder.run("hello") == "compiled in a stage"
    assert builder.daemon.json("GET", "/images/hello/json")["Size"] < 20_000


PYTHON = """FROM debian
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache python3 - <<EOF
import pathlib, sys
words = pathlib.Path("requirements.txt").read_text().split()
pathlib.Path("installed.py").write_text(f"names = {words!r}\\n")
EOF
COPY --chown=nobody app.py .
RUN useradd --create-home runner 2>/dev/null || echo "runner:x:1234:1234::/app:/bin/sh" >> /etc/passwd
USER runner
HEALTHCHECK CMD ["python3", "-c", "import installed"]
CMD ["python3", "app.py"]
"""


@pytest.mark.timeout(600)  # the first time
def test_python_on_debian(builder: Builder) -> None:
    """A base made by mmdebstrap (kept in the cache; half a minute the first time), and an application on it."""
    root = fresh_root("bookworm")
    left_out = [
        f"--exclude=./{name}" for name in ("var", "usr/share", "usr/lib/git-core", "usr/bin/git*", "usr/lib/*/perl*")
    ]
    tar = subprocess.run(["tar", "-C", str(root), *left_out, "-c", "."], capture_output=True, check=True).stdout
    builder.daemon.docker("import", "-", "debian", input=tar, timeout=120).check_returncode()
    files: dict[str, str | bytes] = {
        "requirements.txt": "one two", "app.py": "import installed, os; print(installed.names, os.getuid() > 0)",
    }  # fmt: skip
    builder.build(PYTHON, files, t="app")
    assert builder.run("app") == "['one', 'two'] True"
    assert builder.build(PYTHON, files).cached == 9
    files["app.py"] = str(files["app.py"]).replace("installed.names", "'again'")
    assert builder.build(PYTHON, files).cached == 4


#: Serves the directory it is started in; over TLS if there is a certificate.
WEB_SERVER = """
import http.server, pathlib, ssl
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
if secure := pathlib.Path("cert.pem").exists():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert.pem", "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"http{'s' if secure else ''}://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""


@contextmanager
def web(daemon: Daemon, root: Path) -> Iterator[str]:
    """A web server where the daemon can reach it; its address."""
    command = [*daemon.inside(), sys.executable, "-c", WEB_SERVER]
    server = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().decode().strip()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_files_from_the_web(builder: Builder, tmp_path: Path) -> None:
    """ADD of a URL: its name, mode and time, a checksum that fits or not, what is not there; archives stay packed,
    unless --unpack says otherwise.
    """
    (tmp_path / "f.txt").write_text("from the web\n")
    ball = archive([file("inside", b"x")])
    (tmp_path / "ball.tar").write_bytes(ball)
    (tmp_path / "ball.tar.gz").write_bytes(gzip.compress(ball))
    digest = hashlib.sha256(b"from the web\n").hexdigest()
    with web(builder.daemon, tmp_path) as address:
        text = f"""FROM tiny
            ADD {address}/f.txt /named
            ADD --checksum=sha256:{digest} {address}/f.txt /directory/
            ADD --chmod=644 {address}/ball.tar /
            ADD --unpack {address}/ball.tar.gz /unpacked/
            ADD --unpack=true --chown=7:8 {address}/f.txt /no-archive
            ADD --unpack=false inside.tar /packed/
            ADD inside.tar /both/
            RUN ls /unpacked /packed /both; stat -c '%n %u' /no-archive
            RUN stat -c '%n %a' /named /directory/f.txt /ball.tar; cat /named; [ $(stat -c %Y /named) -gt 1000000000 ]
            """
        built = builder.build(text, {"inside.tar": ball})
        assert "/both:\ninside\n\n/packed:\ninside.tar\n\n/unpacked:\ninside\n/no-archive 7\n" in built.text
        assert "/named 600\n/directory/f.txt 600\n/ball.tar 644\nfrom the web\n" in built.text
        assert builder.build(text, {"inside.tar": ball}).cached == 9
        (tmp_path / "f.txt").write_text("changed\n")
        assert "digest mismatch" in builder.fails(text)
        assert "status 404" in builder.fails(f"FROM tiny\nADD {address}/none /")
    assert "failed to GET" in builder.fails(f"FROM tiny\nADD {address}/f.txt /")


def test_a_private_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ADD and import believe whom the system trusts, and nobody else: an authority without key identifiers too, as in
    Docker. Python wants them since 3.13.
    """
    served = Authority().issue(tmp_path / "served", server=True)
    (served / "root.tar").write_bytes(tiny_archive())
    monkeypatch.setenv("SSL_CERT_FILE", str(served / "ca.pem"))
    with running_daemon() as daemon, web(daemon, served) as address:
        Builder(daemon).build(f"FROM tiny\nADD {address}/root.tar /")
        daemon.ok("import", f"{address}/root.tar", "fetched")
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority().issue(tmp_path / "stranger", server=True) / "ca.pem"))
    with running_daemon() as daemon, web(daemon, served) as address:
        assert "failed to verify certificate" in Builder(daemon).fails(f"FROM tiny\nADD {address}/root.tar /")
        assert "failed to verify certificate" in daemon.docker("import", f"{address}/root.tar").stderr


def test_contexts_from_the_web(builder: Builder, tmp_path: Path) -> None:
    """``docker build http://…``: an archive, or a Dockerfile alone; nothing else."""
    (tmp_path / "ctx.tar").write_bytes(context("FROM tiny\nCOPY f /f\nRUN cat /f", f="content\n"))
    (tmp_path / "plain").write_text("FROM tiny\nRUN echo alone")
    with web(builder.daemon, tmp_path) as address:
        assert "content\n" in builder.post(b"", remote=f"{address}/ctx.tar").text
        assert "alone\n" in builder.post(b"", remote=f"{address}/plain").text
        assert "status 404" in builder.post(b"", remote=f"{address}/none").error
    assert (
        "a URL of http, https, or of a git repository is needed"
        in builder.post(b"", remote="ftp://example.invalid/x").error
    )


def test_a_private_base_image(builder: Builder, tmp_path: Path) -> None:
    """FROM an image that only who is known may pull: the client's credentials go with the build (X-Registry-Config)."""
    daemon, inside = builder.daemon, builder.daemon.inside()
    with debian_registry(tmp_path, htpasswd_auth(tmp_path, "me", "pass"), inside=inside) as registry:
        push(make_image([tar_of({"f": b"private"})]), f"{registry.address}/base", tmp_path, "me:pass", inside)
        text = f"FROM {registry.address}/base\nCOPY --from={registry.address}/base /f /g\nLABEL a=b"
        assert "no basic auth credentials" in builder.fails(text)
        known = {registry.address: {"username": "me", "password": "pass", "serveraddress": registry.address}}
        header = base64.urlsafe_b64encode(json.dumps(known).encode()).decode()
        built = Builder(daemon, {"X_Registry_Config": header}).build(text)
        assert any("Digest: sha256:" in line.get("status", "") for line in built.lines)
        pulls = len(registry.requests("GET /v2/base/manifests"))
        assert Builder(daemon).build(text).cached == 2  # it is here now
        assert len(registry.requests("GET /v2/base/manifests")) == pulls
        assert "no basic auth credentials" in builder.fails(text, pull="1")
