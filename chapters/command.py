"""``python -m chapters``: the course in a terminal.

::

    python -m chapters                      the map, and how far you are
    python -m chapters problem 1            see what goes wrong without this chapter's idea
    python -m chapters run 1 -- CMD         the program built so far
    python -m chapters start 1              write the exercises' files into your directory (1.2: only one)
    python -m chapters check [1 | 1.2]      grade; exit code 1 unless all of them pass; --json for machines
    python -m chapters watch [1 | 1.2]      grade again at each save
    python -m chapters hint 1.2             a hint, and a better one each time
    python -m chapters solution 1.2         the engine's own
    python -m chapters reset 1.2            begin again (your file is kept as .bak)
    python -m chapters doctor               can this machine do it all?
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shlex
import shutil
import signal
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

from chapters import doctor, show
from chapters.course import AS_ROOT, Exercise, chapter, chapters, exercises
from chapters.grading import SECONDS, Verdict, grade
from chapters.stopping import Stopped, clean_end
from chapters.workbook import Workbook
from minidock.errors import InvalidInput, MinidockError
from minidock.kernel.inotify import IN_CLOSE_WRITE, IN_MOVED_TO, Inotify


def main(words: list[str] | None = None) -> int:
    """Do what the words say. Errors are one line; the exit code is 0 only if all is well."""
    arguments = _parser().parse_args(words)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # `| head` has seen enough. What is still buffered goes nowhere, quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except MinidockError as error:
        print(f"chapters: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        print(f"chapters: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"\nchapters: stopped by {stopped}", file=sys.stderr)
        return 128 + stopped.number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chapters", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=_map)
    parser.add_argument("--dir", type=Path, help="your directory ($MINIDOCK_COURSE, or ./course)")
    commands = parser.add_subparsers(metavar="COMMAND")

    def add(name: str, run: object, what: str | None, optional: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        if what is not None:
            command.add_argument("what", metavar=what, **({"nargs": "?", "default": ""} if optional else {}))  # type: ignore[arg-type]
        return command

    add("problem", _problem, "CHAPTER").add_argument("arguments", nargs=argparse.REMAINDER)
    add("run", _program, "CHAPTER").add_argument("arguments", nargs=argparse.REMAINDER)
    add("start", _start, "EXERCISE")
    check = add("check", _check, "EXERCISE", optional=True)
    check.add_argument("--json", action="store_true", help="for autograders")
    check.add_argument("--seconds", type=float, default=SECONDS, help="time for each exercise")
    add("watch", _watch, "EXERCISE", optional=True)
    add("hint", _hint, "EXERCISE")
    add("solution", _solution, "EXERCISE")
    add("reset", _reset, "EXERCISE")
    add("doctor", _doctor, None)
    return parser


def _map(arguments: argparse.Namespace) -> int:
    book = Workbook(arguments.dir)
    for each in chapters():
        done = [book.progress(one).passed for one in each.exercises]
        print(show.heading(f"{each.number}. {each.title}", f"{sum(done)}/{len(done)}"))
        print(textwrap.fill(each.idea, show.width() - 4, initial_indent="   ", subsequent_indent="   "))
        for one in each.exercises:
            print(f"   {show.mark(book.progress(one))} {one.id}  {one.title}")
        print()
    print(_next_step(book))
    return 0


def _next_step(book: Workbook) -> str:
    """What was begun comes before what was not."""
    left = [one for one in exercises() if not book.progress(one).passed]
    if not left:
        return "You have built Docker. Next: read minidock/ from the top, docs/reading-order.md says in which order."
    begun = [one for one in left if book.file(one).exists()]
    return f"next: python -m chapters {'check' if begun else 'start'} {(begun or left)[0].id}"


def _problem(arguments: argparse.Namespace) -> int:
    return _demonstrate(arguments, "problem")


def _program(arguments: argparse.Namespace) -> int:
    return _demonstrate(arguments, "container")


def _demonstrate(arguments: argparse.Namespace, part: str) -> int:
    module = chapter(arguments.what).part(part)
    if os.geteuid() != 0:
        raise InvalidInput(f"this makes a container, and that needs root: {AS_ROOT} {shlex.join(sys.argv[1:])}")
    with clean_end():
        code: int = module.main(_after_dashes(arguments.arguments))
    return code


def _after_dashes(words: list[str]) -> list[str]:
    return words[1:] if words[:1] == ["--"] else words


def _start(arguments: argparse.Namespace) -> int:
    book = Workbook(arguments.dir)
    for one in exercises(arguments.what):
        written = book.start(one)
        print(f"{'wrote' if written else 'is there already:'} {book.file(one)}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    book = Workbook(arguments.dir)
    found = []
    passed = True
    with clean_end():
        for one in _chosen(book, arguments.what):
            verdict = _grade(book, one, arguments.seconds)
            passed = passed and verdict.passed
            if arguments.json:
                found.append({"exercise": one.id, "name": one.name} | asdict(verdict))
            else:
                print(show.verdict(one, verdict), flush=True)
    if arguments.json:
        print(json.dumps(found, indent=1))
    return 0 if passed else 1


def _chosen(book: Workbook, what: str) -> list[Exercise]:
    """What to grade: what is named, or all that was started. Raises InvalidInput."""
    chosen = [one for one in exercises(what) if what or book.file(one).exists()]
    if not chosen:
        raise InvalidInput(f"nothing is started in {book.path}: python -m chapters start 1")
    return chosen


def _grade(book: Workbook, one: Exercise, seconds: float = SECONDS) -> Verdict:
    verdict = grade(one, book.file(one), seconds)
    try:
        book.record(one, verdict)
    except OSError as error:  # whoever grades may not be the one who learns
        print(f"chapters: not noted in progress.json: {error.strerror}", file=sys.stderr)
    return verdict


def _watch(arguments: argparse.Namespace) -> int:
    book = Workbook(arguments.dir)
    chosen = [one for one in _chosen(book, arguments.what) if book.file(one).exists()]
    if not chosen:
        raise InvalidInput(f"nothing of it is started: python -m chapters start {arguments.what}")
    files = {book.file(one).name: one for one in chosen}
    with clean_end(), Inotify() as inotify:
        for folder in sorted({book.file(one).parent for one in chosen}):
            # Editors write a new file and rename it over the old one, or write in place.
            inotify.add(folder, IN_CLOSE_WRITE | IN_MOVED_TO)
        print(f"watching {', '.join(files)} in {book.path}; ^C ends it", flush=True)
        while True:
            for name in show.saved(inotify):
                if name in files:
                    print(show.verdict(files[name], _grade(book, files[name])), flush=True)


def _hint(arguments: argparse.Namespace) -> int:
    book = Workbook(arguments.dir)
    for one in exercises(arguments.what):
        print(f"{one.id} {one.name}: {show.hint(one, book.progress(one))}")
        book.save()
    return 0


def _solution(arguments: argparse.Namespace) -> int:
    for one in exercises(arguments.what):
        solution = one.solution()
        lines, start = inspect.getsourcelines(solution)
        print(show.heading(f"{one.id} {one.name}", f"{one.module.__name__.replace('.', '/')}.py, line {start}"))
        print("".join(lines))
    return 0


def _reset(arguments: argparse.Namespace) -> int:
    book = Workbook(arguments.dir)
    for one in exercises(arguments.what):
        book.start(one, again=True)
        book.forget(one)
        print(f"wrote {book.file(one)}")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    findings = doctor.examine()
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{show.tick(finding.good, finding.needed)} {finding.what:<{width}}  {finding.found}")
        if not finding.good:
            wide = shutil.get_terminal_size().columns - width - 4
            print(textwrap.indent(textwrap.fill(finding.remedy, max(wide, 40)), " " * (width + 4)))
    return 0 if all(finding.good or not finding.needed for finding in findings) else 1
