"""The grader, with students as they are: typing mistakes, endless loops, programs that exit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chapters import show
from chapters.command import main
from chapters.course import ROOT, exercises
from chapters.grading import grade, judge
from chapters.registry import serving
from chapters.trial import Broken, Once, Subject
from chapters.workbook import Workbook
from minidock.build.lines import Statement
from minidock.daemon.records import State
from minidock.errors import InvalidInput, MinidockError
from minidock.oci.image import History, Index
from minidock.registry.credentials import Credentials

EXERCISE = next(exercises("environment"))
RIGHT = "def environment(entries):\n    return dict(e.split('=', 1) for e in entries if '=' in e)\n"


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        (RIGHT, "passed", ""),
        ("def environment(entries)\n    return {}\n", "broken", "line 1 is no Python"),
        ("import nonsense\n" + RIGHT, "broken", "No module named 'nonsense'"),
        ("raise SystemExit\n", "broken", "cannot be loaded"),
        ("x = 1\n", "broken", "does not define environment"),
        ("def environment(entries):\n    while True: pass\n", "slow", "no end after 1 seconds"),
        (
            "def environment(entries):\n    while True:\n        try:\n            while True: pass\n"
            "        except Exception: pass\n",
            "slow",
            "no end after 1 seconds",
        ),
        (
            "import signal\nsignal.pthread_sigmask(0, [14])\ndef environment(entries):\n    while True: pass\n",
            "slow",
            "",
        ),
        ("def environment(entries):\n    return entries['x']\n", "crashed", ""),
        ("def environment(entries):\n    import os; os._exit(0)\n", "crashed", "ended (exit code 0)"),
        ("def environment(entries):\n    raise SystemExit\n", "crashed", ""),
        ("def environment(entries):\n    raise NotImplementedError\n", "todo", "still the stub"),
        ("def environment(entries):\n    return {}\n", "failed", "split at the first ="),
        ("def environment(entries):\n    return None\n", "failed", ""),
        ("def environment():\n    return {}\n", "crashed", ""),
    ],
)
def test_what_students_write(tmp_path: Path, source: str, status: str, said: str) -> None:
    """Whatever the file holds, there is a verdict, in time, and it says what is the matter."""
    file = tmp_path / "answer.py"
    file.write_text(source)
    verdict = grade(EXERCISE, file, seconds=1 if status == "slow" else 20)
    assert (verdict.status, said in verdict.why) == (status, True), verdict


def test_a_counter_example_is_small(tmp_path: Path) -> None:
    """The call that is shown is the smallest that fails, with what came out and what should have."""
    file = tmp_path / "answer.py"
    file.write_text("def environment(entries):\n    return {}\n")
    verdict = grade(EXERCISE, file)
    assert (verdict.call, verdict.got, verdict.expected) == ("environment(['A='])", "{}", "{'A': ''}")


def test_where_it_crashed_and_what_was_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs the course in its own directory is told the line, too; and the right answer, though there was none."""
    monkeypatch.chdir(tmp_path)
    Path("answer.py").write_text("def sysctl_path(key):\n    return 1 / 0\n")
    verdict = judge(next(exercises("sysctl_path")), Path("answer.py"))
    assert verdict.status == "crashed"
    assert verdict.where == "line 2: return 1 / 0"
    assert "net/ipv4" in verdict.expected


def test_a_function_among_the_arguments_is_shown_without_its_address() -> None:
    """The examples are the same on each run, and so is what is said of them."""
    subject = Subject(lambda *_arguments: "nonsense", "parse_retry_after")
    with pytest.raises(Broken):
        next(exercises("parse_retry_after")).law(subject)
    assert subject.last.call == "parse_retry_after('0', lambda: 0.0)"
    subject = Subject(lambda *_arguments: None, "lookup")
    subject("web", {"web": 1}.get)
    assert subject.last.call == "lookup('web', {'web': 1}.get)"


@pytest.mark.parametrize("name", ["parse_mountinfo", "elements", "address_records", "statements"])
def test_an_answer_of_another_kind_is_wrong_and_no_crash(tmp_path: Path, name: str) -> None:
    """A number where a list or an object is asked for: the student's code has raised nothing, and is not blamed."""
    file = tmp_path / "answer.py"
    file.write_text(f"def {name}(*arguments):\n    return 42\n")
    verdict = judge(next(exercises(name)), file)
    assert (verdict.status, verdict.got) == ("failed", "42")
    assert "of the kind" in verdict.why


def test_a_class_that_lacks_something_is_told_what(tmp_path: Path) -> None:
    """Not the address of an object, alone."""
    file = tmp_path / "answer.py"
    body = "pass\n    write = close = abort = __init__\n"
    file.write_text(f"class Upload:\n    def __init__(self, *arguments): {body}")
    assert "has no attribute 'size'" in judge(next(exercises("Upload")), file).why


def test_an_answer_may_not_take_all_memory(tmp_path: Path) -> None:
    """A set of all addresses of an IPv6 network: the student hears of it, and the machine does not."""
    file = tmp_path / "answer.py"
    file.write_text(
        "def first_free(first, last, taken):\n    return min(set(range(first, last + 1)) - set(taken), default=None)\n"
    )
    verdict = grade(next(exercises("first_free")), file)
    assert (verdict.status, verdict.got) == ("crashed", "raised MemoryError")


def test_what_can_be_gone_through_once_is_shown_with_all_that_it_had() -> None:
    """A student who has gone through it twice wants to see what was in it."""
    subject = Subject(lambda values: [*values, *values], "twice")
    assert subject(Once([3, 2])) == [3, 2]
    assert subject.last.call == "twice(iter([3, 2]))"


def test_an_object_is_shown_with_what_was_set() -> None:
    """Ten fields of which nine are as ever hide the tenth; a password of an exercise is no secret."""
    subject = Subject(lambda *_arguments: Credentials("ann", "secret"), "after_exit")
    subject(State(exit_code=3, health=None))
    assert subject.last.call == "after_exit(State(exit_code=3))"
    assert subject.last.outcome == "Credentials(username='ann', password='secret')"


def test_an_object_is_shown_with_what_must_be_given() -> None:
    """Empty or not: a Statement without its heredocs is no Statement. What is empty when nobody says is left out."""
    subject = Subject(
        lambda text: [Statement(1, text, []), Index(schema_version=2, manifests=[]), History(comment="one")],
        "statements",
    )
    subject("FROM a")
    shown = (
        "[Statement(line=1, text='FROM a', heredocs=[]), Index(schema_version=2, manifests=[]), History(comment='one')]"
    )
    assert subject.last.outcome == shown


def test_the_hint_about_colons_is_for_passwords_that_have_some(tmp_path: Path) -> None:
    """Who forgets the password altogether has made another mistake."""
    file = tmp_path / "answer.py"
    file.write_text(
        "from minidock.registry.credentials import ANONYMOUS, Credentials\n"
        "def from_header(value):\n    return Credentials('a', '') if len(value) > 8 else ANONYMOUS\n"
    )
    verdict = judge(next(exercises("from_header")), file)
    assert verdict.status == "failed"
    assert "colon" not in verdict.hint


@pytest.mark.parametrize(
    ("name", "source", "misleading"),
    [
        (
            "environment",
            "def environment(entries):\n"
            "    pairs = [entry.partition('=') for entry in entries if '=' in entry]\n"
            "    return {name: value.strip() for name, _, value in pairs}\n",
            "the last counts",
        ),
        (
            "environment",
            "def environment(entries):\n    return dict(entry.split('=', 1) for entry in entries)\n",
            "split only at the first one",
        ),
        (
            "parse_id_map",
            "from minidock.kernel.namespaces import IdMapping\n"
            "def parse_id_map(text):\n    return [IdMapping(*line.split()) for line in text.splitlines()]\n",
            "the second the one outside",
        ),
        (
            "code_of",
            "def code_of(wait_status):\n    return wait_status & 0x7f or wait_status >> 8\n",
            "second byte",
        ),
        (
            "check",
            "from minidock.errors import InvalidDigest\nfrom minidock.oci.digest import check as right\n"
            "def check(text):\n    return right(text.strip())\n",
            "int(text, 16)",
        ),
    ],
)
def test_a_hint_is_for_the_mistake_that_was_made(tmp_path: Path, name: str, source: str, misleading: str) -> None:
    """Advice about something that the student did right is worse than none."""
    file = tmp_path / "answer.py"
    file.write_text(source)
    verdict = judge(next(exercises(name)), file)
    assert verdict.status in ("failed", "crashed")
    assert misleading not in verdict.hint


def test_a_device_is_shown_with_its_number() -> None:
    """Else 0:0 and 1:3 look the same, and the example explains nothing."""
    subject = Subject(lambda _status: False, "is_whiteout")
    subject(Path("/dev/null").stat())
    assert "st_rdev=os.makedev(1, 3)" in subject.last.call


def test_the_loader_may_be_named_once(tmp_path: Path) -> None:
    """The C library names it by another path than the program does; ldd shows it once, and so may a student."""
    file = tmp_path / "answer.py"
    file.write_text(
        "from pathlib import Path\nfrom minidock.images.elf import libraries as right, read_elf\n"
        "def libraries(program):\n"
        "    loader = read_elf(program).interpreter\n"
        "    return {path: file for path, file in right(program).items()\n"
        "            if path == loader or file.name != Path(loader).name}\n"
    )
    assert judge(next(exercises("libraries")), file).passed


def test_the_wrong_python_is_said(tmp_path: Path) -> None:
    """In a new terminal nobody has activated the virtual environment: no traceback, but what to type."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "chapters"], cwd=ROOT.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"chapters: .* has no \w+: `. .venv/bin/activate` first .*\n", done.stderr)


def test_a_registry_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words are shown, not what the chapter makes of an address that is not there."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no port is free >&2\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(MinidockError, match="did not start: no port is free"), serving(tmp_path):
        pass


def test_a_missing_file(tmp_path: Path) -> None:
    """It says how to make it."""
    verdict = grade(EXERCISE, tmp_path / "nothing.py")
    assert (verdict.status, verdict.hint) == ("missing", "python -m chapters start 1.1")


def test_a_damaged_workbook(tmp_path: Path) -> None:
    """Progress that cannot be read is said, not lost."""
    (tmp_path / "progress.json").write_text("{")
    with pytest.raises(InvalidInput, match="damaged"):
        Workbook(tmp_path)


def course(directory: Path, *words: str, code: int = 0, user: int = 0) -> str:
    """Run ``python -m chapters``; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "chapters", "--dir", str(directory), *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        user=user if os.geteuid() == 0 else None,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_progress_that_cannot_be_written(tmp_path: Path) -> None:
    """Who grades what is another's is told the verdict, and that it is noted nowhere."""
    course(tmp_path, "start", "1.1")
    Workbook(tmp_path).file(EXERCISE).write_text(RIGHT)
    (tmp_path / "progress.new").mkdir()
    said = course(tmp_path, "check", "1.1")
    assert "1.1 environment" in said and "not noted in progress.json: Is a directory" in said


def test_from_start_to_end(tmp_path: Path) -> None:
    """Start, fail, take hints, look at the solution, solve, pass; the map knows it."""
    assert "ex1_environment.py" in course(tmp_path, "start", "1.1")
    assert "is there already" in course(tmp_path, "start", "environment")
    assert "(todo)" in course(tmp_path, "check", "1.1", code=1)
    file = tmp_path / "ch01_chroot/ex1_environment.py"
    file.write_text("def environment(entries):\n    return dict(e.split('=') for e in entries if '=' in e)\n")
    shown = course(tmp_path, "check", code=1)
    assert "environment(['A=='])" in shown
    assert "LS_COLORS" in shown
    assert "LS_COLORS" in course(tmp_path, "hint", "1.1")
    assert "(1 of 2)" in course(tmp_path, "hint", "1.1")
    assert "(2 of 2)" in course(tmp_path, "hint", "1.1")
    assert "solution 1.1" in course(tmp_path, "hint", "1.1")
    assert "def environment(entries: list[str])" in course(tmp_path, "solution", "1.1")
    file.write_text(RIGHT)
    found = json.loads(course(tmp_path, "check", "--json"))
    assert [(one["exercise"], one["status"]) for one in found] == [("1.1", "passed")]
    shown = course(tmp_path)
    assert "✓ 1.1" in shown
    assert "next: python -m chapters start 1.2" in shown
    course(tmp_path, "start", "2.3")
    assert course(tmp_path, "check", "1.2", code=1).count("hint") == 1
    assert "(1 of" in course(tmp_path, "hint", "1.2")  # not that it is missing
    assert course(tmp_path).endswith("next: python -m chapters check 2.3\n")
    course(tmp_path, "reset", "1.1")
    assert file.with_suffix(".py.bak").read_text() == RIGHT
    assert "· 1.1" in course(tmp_path)


def test_watching_grades_again_at_each_save(tmp_path: Path) -> None:
    """Editors write in place, or write another file and rename it over the old one; ^C ends it."""
    course(tmp_path, "start", "1.1")
    file = Workbook(tmp_path).file(EXERCISE)
    words = [sys.executable, "-m", "chapters", "--dir", str(tmp_path), "watch", "1.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as watching:
        try:
            assert watching.stdout is not None
            assert watching.stdout.readline() == f"watching {file.name} in {tmp_path}; ^C ends it\n"
            file.write_text("def environment(entries)\n")
            assert watching.stdout.readline() == "✗ 1.1 environment  (broken)\n"
            new = file.with_suffix(".new")
            new.write_text(RIGHT)
            new.rename(file)
            lines = iter(watching.stdout.readline, "")
            assert next(line for line in lines if not line.startswith(" ")) == "✓ 1.1 environment\n"
            watching.send_signal(signal.SIGINT)
            assert watching.wait(20) == 128 + signal.SIGINT
        finally:
            watching.kill()


def test_grading_leaves_nothing_where_the_student_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis would keep what it has learnt in a .hypothesis, and take examples from all sources that are loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "answer.py"
    file.write_text(RIGHT)
    assert grade(EXERCISE, file).passed
    assert list(tmp_path.iterdir()) == [file]


def test_words_that_cannot_be_meant(tmp_path: Path) -> None:
    """One line, exit code 2."""
    assert course(tmp_path, "check", "77", code=2).startswith("chapters: there is no chapter 77; there are 1")
    assert course(tmp_path, "hint", "1.99", code=2).startswith("chapters: there is no exercise 1.99")
    assert course(tmp_path, "check", code=2).startswith("chapters: nothing is started")
    assert course(tmp_path, "watch", "1", code=2) == "chapters: nothing of it is started: python -m chapters start 1\n"
    (tmp_path / "ch02_namespaces").touch()
    assert course(tmp_path, "start", "2", code=2).endswith("ch02_namespaces: File exists\n")


def test_who_is_not_root_is_told_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The very command, so that it can be copied."""
    words = ["run", "1", "--", "sh", "-c", "id -u"]
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(sys, "argv", ["chapters", *words])
    assert main(words) == 2
    again = f"sudo -E {sys.executable} -m chapters run 1 -- sh -c 'id -u'"
    assert capsys.readouterr().err == f"chapters: this makes a container, and that needs root: {again}\n"


def test_a_reader_who_has_seen_enough(tmp_path: Path) -> None:
    """``| head -1`` is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "chapters", "--dir", str(tmp_path)], stdout=output, stderr=subprocess.PIPE, text=True
        )
    assert (done.stderr, done.returncode) == ("", 128 + signal.SIGPIPE)


def test_a_verdict_fits_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside an editor, or on a projector, there are sixty columns."""
    monkeypatch.setenv("COLUMNS", "60")
    file = tmp_path / "answer.py"
    file.write_text("def fitness(offered, wanted):\n    return 1 if offered == wanted else 0\n")
    one = next(exercises("fitness"))
    lines = show.verdict(one, judge(one, file)).splitlines()
    assert len(lines) > 5
    assert all(len(line) <= 60 for line in lines)
