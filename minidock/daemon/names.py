"""Names and ids: what a user may call a container, and what it is called when the user does not care."""

from __future__ import annotations

import random
import re
import secrets

from minidock.errors import InvalidInput

ALLOWED = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_NAME = re.compile(rf"{ALLOWED}+", re.ASCII)

ADJECTIVES = """
admiring agile amazing bold brave bright calm clever cool curious daring dazzling eager elegant epic fervent focused
friendly gallant gifted gracious happy hopeful humble inspiring intrepid jolly keen kind lucid magical modest musing
nifty nostalgic optimistic patient peaceful practical quirky relaxed serene sharp silly sleepy stoic sweet tender
thirsty trusting upbeat vibrant vigilant wise wonderful youthful zealous zen
"""
SURNAMES = """
allen babbage backus boole borg cerf chandra church codd curie dijkstra easley einstein engelbart euler feynman
franklin galileo goldberg goodall hamilton hawking hellman hopper hoover hypatia johnson kalam kare keller kepler
knuth lamarr lamport lehmann liskov lovelace mccarthy mcclintock meitner mendel napier neumann newton noether pascal
pike ramanujan ritchie rosalind shannon sinoussi stallman swartz thompson torvalds turing villani wilson wing
wozniak wright yalow
"""


def new_id() -> str:
    """64 random hex digits, as ids of containers and execs are."""
    return secrets.token_hex(32)


def check(name: str) -> str:
    """The name without a leading slash. Raises InvalidInput, in Docker's words, when it is none."""
    bare = name.removeprefix("/")
    if not _NAME.fullmatch(bare):
        raise InvalidInput(f"Invalid container name ({name}), only {ALLOWED} are allowed")
    return bare


def invent(taken: set[str]) -> str:
    """``clever_hopper``, or after some collisions ``clever_hopper7``."""
    for attempt in range(1000):
        name = f"{random.choice(ADJECTIVES.split())}_{random.choice(SURNAMES.split())}"
        if attempt > 5:
            name += str(random.randrange(10 * attempt))
        if name not in taken:
            return name
    return new_id()[:12]
