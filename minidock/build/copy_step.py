"""The steps COPY and ADD: find what is to be copied, look whether that was done before, copy it."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minidock import git
from minidock.build import copying, fetching, settings, words
from minidock.build.copying import Order
from minidock.build.lines import heredoc_name
from minidock.build.modes import Mode
from minidock.build.sources import Item, Source
from minidock.build.state import beginning
from minidock.build.syntax import Add, Copy
from minidock.build.workshop import in_thread
from minidock.dockerignore import Ignore
from minidock.errors import InvalidInput, NotFound
from minidock.images import Image, Layer
from minidock.images.archive import Entry

if TYPE_CHECKING:
    from minidock.build.stage import StageBuild


class CopyStep:
    """One COPY or ADD in a stage."""

    def __init__(self, stage: StageBuild, instruction: Copy | Add) -> None:
        self._stage = stage
        self._instruction = instruction
        self._sources = [stage.expand(source) for source in instruction.sources]
        patterns = [stage.expand(pattern) for pattern in instruction.exclude]
        self._exclude = Ignore(patterns) if patterns else None
        self._fetched: dict[str, Item] = {}

    async def run(self) -> None:
        """Fetch what comes from the web or from a stage; the rest, which blocks, in a thread."""
        origin: Image | None = None
        if isinstance(self._instruction, Copy) and self._instruction.source_stage:
            origin = await self._stage.image_of(self._instruction.source_stage)
        else:
            for source in self._sources:
                await self._fetch(source)
        await in_thread(self._copy, origin)

    async def _fetch(self, source: str) -> None:
        """Bring a URL's file or repository here."""
        # github.com/… without a scheme is a directory here, and a repository only as a context: as BuildKit.
        is_repository = git.is_repository(source) and not source.startswith("github.com/")
        if not isinstance(self._instruction, Add):
            if fetching.is_url(source):
                raise InvalidInput(f"source can't be a URL for COPY: {source}")
            return
        checksum = self._stage.expand(self._instruction.checksum)
        if checksum and len(self._sources) > 1:
            raise InvalidInput("checksum can't be specified for multiple sources")
        if not (is_repository or fetching.is_url(source)):
            if checksum:
                raise InvalidInput("checksum can't be specified for what is not fetched from a URL")
            return
        self._stage.tell("status", text=f"Downloading {source}")
        # A directory of its own: the triggers of ONBUILD have their stage's number, all of them.
        target = Path(tempfile.mkdtemp(prefix="url-", dir=self._stage.build.work)) / "fetched"
        bring = self._clone if is_repository else self._download
        self._fetched[source] = await bring(self._instruction, source, target, checksum)

    async def _clone(self, add: Add, source: str, target: Path, checksum: str) -> Item:
        turns = self._stage.build.workshop.turns_of_git
        path, commit = await fetching.clone(source, target, turns, add.keep_git_dir, checksum)
        return Item("", path, is_directory=True, commit=commit if add.keep_git_dir else "")

    async def _download(self, _: Add, source: str, target: Path, checksum: str) -> Item:
        found = await fetching.fetch(source, target, checksum)
        if not found.name and self._destination().endswith("/"):
            raise InvalidInput(f"cannot determine filename for source {source}")
        entry = Entry("", mode=0o600, mtime_ns=found.modified * 1_000_000_000)
        return Item(found.name or "file", target, entry=entry)

    def _copy(self, origin: Image | None) -> None:
        stage, instruction = self._stage, self._instruction
        with stage.source(origin) as tree:
            try:
                items = self._items(tree)
            except NotFound as error:
                where = "" if origin else " in build context or excluded by .dockerignore"
                raise InvalidInput(f"{instruction.keyword} failed: file not found{where}: {error}") from None
            except InvalidInput as error:
                raise InvalidInput(f"{instruction.keyword} failed: {error}") from None
            order = self._order(items)
            chown = f"--chown={stage.expand(instruction.chown)} " if instruction.chown else ""
            what, where = self._summary(tree, items), stage.expand(instruction.destination)
            told = stage.remark(f"{instruction.keyword} {chown}{what} in {where} ")
            # Whom the words of --chown mean depends on nothing but them and what is below.
            parts = [chown, str(order.mode), str(order.parents), str(instruction.link)]
            parts += [f"unpack {item.name}" for number, item in enumerate(items) if number in order.unpacks]
            # What is linked does not depend on what is below: it is copied into nothing.
            onto = beginning(None, stage.build.platform, None).image() if instruction.link else None

            def make() -> Layer | None:
                owned = dataclasses.replace(order, owner=self._owner())
                return stage.change(lambda root: copying.copy(root, owned), onto)

            stage.keep(stage.state.config, told, make, [*parts, *(item.name for item in items)])

    def _order(self, items: Sequence[Item]) -> Order:
        instruction, expand = self._instruction, self._stage.expand
        return Order(
            items,
            self._destination(),
            mode=Mode(expand(instruction.chmod)) if instruction.chmod else None,
            parents=isinstance(instruction, Copy) and instruction.parents,
            unpacks=frozenset(number for number, item in enumerate(items) if self._unpacks(item)),
            exclude=self._exclude,
        )

    def _unpacks(self, item: Item) -> bool:
        """Is this to be unpacked, should it be an archive?"""
        if not isinstance(self._instruction, Add) or not item.is_file_on_disk:
            return False
        is_from_the_web = item.entry is not None
        return not is_from_the_web if self._instruction.unpack is None else self._instruction.unpack

    def _items(self, tree: Source) -> list[Item]:
        """All that the sources name. Raises NotFound, InvalidInput."""
        items: list[Item] = []
        documents = {document.name: document for document in self._instruction.heredocs}
        for written, source in zip(self._instruction.sources, self._sources, strict=True):
            document = documents.get(heredoc_name(written))
            if document is not None:
                stage, text = self._stage, document.text
                text = text if document.verbatim else words.expand_document(text, stage.variables, stage.escape)
                items.append(Item(document.name, content=text.encode(errors="surrogateescape")))
            else:
                items += [self._fetched[source]] if source in self._fetched else self._find(tree, source)
        exclude = self._exclude
        kept = [item for item in items if item.is_directory or exclude is None or not exclude.excludes(item.name)]
        if not kept:
            raise InvalidInput("no source files were specified")
        return kept

    def _find(self, tree: Source, source: str) -> list[Item]:
        """What a path or pattern names; with ``--parents``, what stands before ``/./`` is not to be kept."""
        before, pivot, _ = source.partition("/./")
        found = tree.find(source)
        if not pivot or not isinstance(self._instruction, Copy) or not self._instruction.parents:
            return found
        start = posixpath.normpath(before.lstrip("/"))
        return [dataclasses.replace(item, name=posixpath.relpath(item.name, start)) for item in found]

    def _destination(self) -> str:
        """From the root; see :func:`minidock.build.settings.destination`. Raises InvalidInput."""
        path = settings.destination(self._stage.expand(self._instruction.destination), self._stage.state.config)
        if len(self._sources) > 1 and not path.endswith("/"):
            raise InvalidInput(
                f"When using {self._instruction.keyword} with more than one source file, "
                "the destination must be a directory and end with a /"
            )
        return path

    def _owner(self) -> copying.Owner | None:
        who = self._stage.expand(self._instruction.chown)
        if not who:
            return None
        with self._stage.source(self._stage.state.image()) as tree:
            return copying.find_owner(tree.root, who)

    def _summary(self, tree: Source, items: Sequence[Item]) -> str:
        """``file:…``, ``dir:…`` or ``multi:…`` and a digest: how the classic builder tells of what was copied."""
        found = [f"{'dir' if item.is_directory else 'file'}:{tree.digest(item, self._exclude)}" for item in items]
        return found[0] if len(found) == 1 else f"multi:{hashlib.sha256(' '.join(found).encode()).hexdigest()}"
