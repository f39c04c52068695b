"""What the benchmarks of one study share: their options, this server and Debian's, the study."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.data import Sample
from benchmarks.servers import Server, start_ours, start_reference
from benchmarks.workloads import Bench, Scale

_STARTS: tuple[Callable[[Path], Server | None], ...] = (start_ours, start_reference)


def study_parser(
    name: str, description: str | None, *, instances: int, rounds: int
) -> argparse.ArgumentParser:
    """The options that all of them have, with their defaults."""
    parser = argparse.ArgumentParser(prog=f"benchmarks.{name}", description=description)
    parser.add_argument("--instances", type=int, default=instances)
    parser.add_argument("--pixels", type=int, default=512, help="rows and columns of a slice")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--folder", type=Path, help="where the servers keep their data")
    return parser


def for_each_server(folder: Path | None, measure: Callable[[Server], None]) -> None:
    """One server after the other, each alone on the machine."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for number, start in enumerate(_STARTS):
            server = start(Path(name) / str(number))
            if server is None:
                continue
            try:
                measure(server)
            finally:
                server.stop()


@contextmanager
def all_servers(folder: Path | None) -> Iterator[list[Server]]:
    """All of them at once, to be asked in turn."""
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
        found = []
        for number, start in enumerate(_STARTS):
            server = start(Path(name) / str(number))
            if server is not None:
                stack.callback(server.stop)
                found.append(server)
        yield found


def upload_study(server: Server, samples: Sequence[Sample]) -> str:
    """Store slices of one study; its public identifier."""
    bench = Bench(server, Scale())
    bench.upload(samples, 4)
    bench.learn()
    (study,) = bench.studies
    return study
