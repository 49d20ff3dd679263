"""Grading one answer, in a process of its own: it may hang, exit, or break whatever it likes.

The child loads the student's file, puts its function on trial before the exercise's law, and writes the verdict down
as JSON. The parent waits, with a limit. It is a fork: to load the engine and hypothesis takes longer than most laws.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, NoReturn

from chapters.course import AS_ROOT, Exercise
from chapters.stopping import SIGNALS
from chapters.trial import NOTHING, Broken, Observation, Subject, Unwritten

SECONDS = 20
_MEMORY = 1 << 30
"""Bytes of address space. Without an end to it, a set of all IPv6 addresses would take the machine's memory first."""


@dataclass(frozen=True)
class Verdict:
    """What came out. ``status`` is one of

    passed, failed (the law is broken), crashed (the student's code raised), todo (still the stub), slow (no end in
    sight), broken (the file cannot be loaded), missing (no such file), needs root.
    """

    status: str
    call: str = ""
    got: str = ""
    expected: str = ""
    why: str = ""
    hint: str = ""
    where: str = ""

    @property
    def passed(self) -> bool:
        """Is the answer right?"""
        return self.status == "passed"


def grade(exercise: Exercise, file: Path, seconds: float = SECONDS) -> Verdict:
    """The verdict on the function in ``file``."""
    if not file.exists():
        return Verdict("missing", why=f"there is no {file}", hint=f"python -m chapters start {exercise.id}")
    if exercise.needs_root and os.geteuid() != 0:
        return Verdict(
            "needs root",
            why="this exercise asks the kernel for what only root may do",
            hint=f"{AS_ROOT} check {exercise.id}",
        )
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "verdict"
        child = get_context("fork").Process(target=_judge_apart, args=(exercise, file, report, seconds))
        # Until it has a session and handlers of its own, the signals are the parent's.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            child.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            # The child has a clock of its own; this one is for code that does not let it ring.
            child.join(seconds + 5)
            if child.exitcode is None:
                return Verdict("slow", why=f"no end after {seconds:g} seconds")
        finally:
            _end(child)
        if not report.exists():
            why = f"the program ended (exit code {child.exitcode}) before it was judged"
            return Verdict("crashed", why=why, hint="does your code call sys.exit, os._exit, fork or exec?")
        return Verdict(**json.loads(report.read_text()))


def _end(child: ForkProcess) -> None:
    """End it, with all that it started."""
    assert child.pid is not None
    child.kill()  # it may have no session yet
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.join()


# --- in the child ---------------------------------------------------------------------------------------------------


class _TooSlow(BaseException):
    """The clock has rung. Not an Exception: students catch those."""


def judge(exercise: Exercise, file: Path, seconds: float = SECONDS) -> Verdict:
    """Load the file and hold its function against the law, here and now."""
    file = file.absolute()  # as tracebacks name it
    try:
        implementation = load(file, exercise.name)
    except SyntaxError as error:
        line = (error.text or "").strip()
        return Verdict("broken", why=f"line {error.lineno} is no Python: {error.msg}", where=line)
    except AttributeError:
        return Verdict("broken", why=f"the file does not define {exercise.name}")
    except BaseException as error:
        return Verdict(
            "broken", why=f"the file cannot be loaded: {type(error).__name__}: {error}", where=_where(error, file)
        )
    subject = Subject(implementation, exercise.name)
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        _run(exercise, subject)
    except Broken as broken:
        return _with_hint(exercise, broken.observation, "failed")
    except Unwritten:
        return Verdict("todo", why="this is still the stub")
    except _TooSlow:
        return _with_hint(exercise, subject.last, "slow", why=f"no end after {seconds:g} seconds")
    except BaseException as error:
        if subject.last.result is not NOTHING and not _where(error, file):
            # It is the law that could not go on, with what it was given: a number, say, where a list should be.
            return _with_hint(exercise, subject.last, "failed", why=_kind(exercise, error))
        if subject.last.error is None:
            subject.last.error = error
        return _with_hint(exercise, subject.last, "crashed", where=_where(error, file))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Verdict("passed")


def _kind(exercise: Exercise, error: BaseException) -> str:
    """What sort of answer is asked for, as the engine's own says."""
    solution = exercise.solution()
    if isinstance(solution, type):
        return f"this is no answer of the kind that is asked for: {error}"
    return f"the answer should be of the kind {inspect.signature(solution).return_annotation}"


def load(file: Path, name: str) -> Any:
    """The object ``name`` of a Python file."""
    spec = spec_from_file_location("answer", file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["answer"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def _run(exercise: Exercise, subject: Subject) -> None:
    """The law, with hypothesis choosing the same examples each time, and telling of one failure at a time."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.internal.conjecture import providers

    # It would take examples from the sources that happen to be loaded, too: other ones for `check` than for `check 1`.
    vars(providers)["is_local_module_file"] = lambda _path: False
    settings.register_profile(
        "course",
        database=None,
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    settings.load_profile("course")
    exercise.law(subject)


def _with_hint(exercise: Exercise, seen: Observation, status: str, why: str = "", where: str = "") -> Verdict:
    return Verdict(status, seen.call, seen.outcome, seen.wanted, why or seen.why, _diagnosis(exercise, seen), where)


def _diagnosis(exercise: Exercise, seen: Observation) -> str:
    """The hint for a mistake that is known; "" for a new one."""
    for wrong in exercise.wrong:
        try:
            if wrong.when(seen):
                return wrong.hint
        except Exception:
            continue
    return ""


def _where(error: BaseException, file: Path) -> str:
    """The line of the student's own file where it happened."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"line {frames[-1].lineno}: {frames[-1].line}" if frames else ""


def _ring(_number: int, _frame: object) -> NoReturn:
    raise _TooSlow


def _judge_apart(exercise: Exercise, file: Path, report: Path, seconds: float) -> None:
    from hypothesis.configuration import set_hypothesis_home_dir

    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    set_hypothesis_home_dir(report.parent)  # else it makes a .hypothesis here
    sys.dont_write_bytecode = True  # else there is a __pycache__ beside the student's file
    report.write_text(json.dumps(asdict(judge(exercise, file, seconds))))
