"""What each part of the work costs, and whether the model of docs/scaling.md holds.

On a PostgreSQL that syncs to the disk as anybody's does, the costs of single events, batches,
deliveries, other nodes and live clients are measured one by one. From them the model says what
three mixes should take, and the mixes are run: predicted and measured stand side by side. CPU is
what the kernel counted for the processes of the hubs and of PostgreSQL, so other work on the
machine stretches the time and not the figures. Nothing is asserted about them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import psycopg
import pytest

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port
from hookhub.testing.postgres import PostgresCluster, running_cluster
from hookhub.testing.serving import TOKEN
from hookhub.testing.waiting import wait_until
from support.of_process import TICK, cpu_seconds, memory
from support.peers import Peer
from support.scaling import Cost, Load, predict

HERE = Path(__file__).parent
SECONDS = 6.0
"""How long each measurement takes."""
CLIENTS = 1000
FILTERS = 1000
USERS = 1000
"""Events are about them in turn, so a client that wants one of them wants so many of the events."""
EVERYTHING = ""
NOTHING = "&events=ticket.created"
SETTINGS: dict[str, dict[str, Any]] = {
    "live": {"max_connections": 20_000, "max_connections_per_token": 20_000},
    "log": {"level": "error"},
    "plugins": {"disabled": ["log"]},
}


class Look(NamedTuple):
    """What was used until now."""

    time: float
    used: Cost
    commits: float
    others: float
    """CPU seconds of all hubs but the first."""


class Spent(NamedTuple):
    """What a stretch of time took."""

    seconds: float
    used: Cost
    commits: float
    events: int
    requests: int
    others: float
    """CPU seconds of the nodes that nobody posted to."""

    def rate(self, **more: Any) -> Load:
        """The load that it was."""
        batch = round(self.events / self.requests) if self.requests else 1
        return Load(events=self.events / self.seconds, batch=batch, **more)


@contextmanager
def durable_cluster() -> Iterator[PostgresCluster]:
    """A PostgreSQL of its own that loses nothing: full pages in its log, each commit synced."""
    with running_cluster() as cluster:
        cluster.stop()
        options = f"-h 127.0.0.1 -p {cluster.port} -k {cluster.directory} -c max_connections=200"
        cluster.run(
            "pg_ctl", "start", "-w", "-D", str(cluster.data),
            "-l", str(cluster.directory / "log"), "-o", options,
        )  # fmt: skip
        yield cluster


class Bench:
    """Hubs on one database, who talks to them, and what all of that uses."""

    def __init__(
        self,
        directory: Path,
        cluster: PostgresCluster,
        server: psycopg.Connection[Any],
        readers: Peer,
        hook: str,
    ) -> None:
        self.cluster = cluster
        self.readers = readers
        self.hook = hook
        self.hubs: list[HubProcess] = []
        self._directory = directory
        self._numbers = count()
        self._server = server

    @contextmanager
    def nodes(self, number: int) -> Iterator[list[HubProcess]]:
        """So many hubs on a new database, warm."""
        url = self.cluster.new_database()
        try:
            for _ in range(number):
                directory = self._directory / str(next(self._numbers))
                directory.mkdir()
                hub = HubProcess(directory, {**SETTINGS, "database": {"url": url}}, deadline=120)
                hub.start()
                self.hubs.append(hub)
            self.post(100, 50, 2)
            yield self.hubs
        finally:
            for hub in self.hubs:
                hub.kill()
            self.hubs = []
            self.readers.ask(do="close")
            self.readers.ask(do="reset")
            self.cluster.drop_database(url)

    def look(self) -> Look:
        """What was used until now."""
        commits = sum(self.metric(hub, "hookhub_store_commits_total") for hub in self.hubs)
        row = self._server.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        first, *others = [cpu_seconds(hub.pid) for hub in self.hubs]
        used = Cost(first + sum(others), self._database(), float(row[0]))
        return Look(time.monotonic(), used, commits, sum(others))

    def metric(self, hub: HubProcess, name: str) -> float:
        """A number of ``/metrics``."""
        text = httpx.get(f"{hub.url}/metrics", trust_env=False).text
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
        )

    def _database(self) -> float:
        """CPU seconds of the server's processes, ended ones included."""
        server = int((self.cluster.data / "postmaster.pid").read_text().split()[0])
        total = 0.0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(path.parent.name) == server:
                total += sum(map(int, fields[11:15])) / TICK
            elif int(fields[1]) == server:
                total += sum(map(int, fields[11:13])) / TICK
        return total

    def spend(self, rate: float = 0, size: int = 1, seconds: float = SECONDS) -> Spent:
        """Post to the first hub at a steady rate; what that took, until everything is done."""
        begin = self.look()
        requests = self.post(rate, size, seconds) if rate else self.rest(seconds)
        self.settle()
        return self._since(begin, requests * size, requests)

    def flood(self, size: int = 1, connections: int = 32) -> Spent:
        """As many requests, of so many events each, as these connections bring through."""
        begin = self.look()
        port, path = str(self.hubs[0].port), "/events/batch" if size > 1 else "/events"
        arguments = ["127.0.0.1", port, str(connections), str(SECONDS), path, TOKEN]
        some = [event(number) for number in range(size)]
        body = json.dumps(some if size > 1 else some[0]).encode()
        done = subprocess.run(
            [sys.executable, str(HERE / "load.py"), *arguments],
            input=body,
            capture_output=True,
            check=True,
        )
        posts = round(float(done.stdout) * SECONDS)
        return self._since(begin, posts * size, posts)

    def _since(self, begin: Look, events: int, requests: int) -> Spent:
        end = self.look()
        commits = end.commits - begin.commits
        used = end.used.plus(begin.used, -1)
        others = end.others - begin.others
        return Spent(end.time - begin.time, used, commits, events, requests, others)

    def rest(self, seconds: float) -> int:
        """Do nothing."""
        time.sleep(seconds)
        return 0

    def post(self, rate: float, size: int, seconds: float) -> int:
        """Requests of so many events each, so many a second; how many there were."""
        bodies = [
            json.dumps([event(number + begin) for number in range(size)]).encode()
            for begin in range(0, USERS, size)
        ]
        path = "/events/batch"
        if size == 1:
            bodies, path = [body[1:-1] for body in bodies], "/events"
        headers = {"Content-Type": "application/json"}
        begin, sent = time.monotonic(), 0
        with self.hubs[0].client(headers=headers) as client:
            while (now := time.monotonic() - begin) < seconds:
                if now < sent / rate:
                    time.sleep(sent / rate - now)
                client.post(path, content=bodies[sent % len(bodies)]).raise_for_status()
                sent += 1
        return sent

    def settle(self) -> None:
        """Until the readers get nothing more and no delivery is open."""
        last: Any = None

        def still() -> bool:
            nonlocal last
            before, last = last, (self.readers.ask(do="stats"), self.received())
            time.sleep(0.3)
            return bool(before == last)

        wait_until(still, 60)

    def received(self) -> dict[str, Any]:
        """What the receiver of webhooks got."""
        found: dict[str, Any] = httpx.get(f"{self.hook}/stats", trust_env=False).json()
        return found

    def hear(self, clients: int, filters: int = 0, query: str = EVERYTHING) -> None:
        """Open live connections, spread over the hubs."""
        for hub in self.hubs:
            each = clients // len(self.hubs) // max(1, filters)
            for number in range(max(1, filters)):
                where = json.dumps({"user_id": number})
                wanted = f"&where={quote(where)}" if filters else query
                target = f"/ws?token={TOKEN}{wanted}"
                self.readers.ask(do="open", port=hub.port, count=each, target=target)
        self.settle()
        self.readers.ask(do="reset")

    def subscribe(self, **options: Any) -> None:
        """Make a webhook."""
        hook = {"name": "bench", "url": f"{self.hook}/hook", "secret": "s", **options}
        with self.hubs[0].client() as client:
            client.post("/webhooks", json={"event_types": ["*"], **hook}).raise_for_status()
        httpx.get(f"{self.hook}/reset", trust_env=False)


def event(number: int) -> dict[str, Any]:
    """One that comes to clients as some 240 bytes."""
    return {"type": "user.created", "payload": {"user_id": number, "username": "x" * 40}}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """PostgreSQL, readers and a receiver, each in processes of their own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    receiver = subprocess.Popen([sys.executable, str(HERE / "receiver.py"), str(port)])

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/reset", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    with (
        durable_cluster() as cluster,
        psycopg.connect(cluster.url(), autocommit=True) as server,
        Peer(HERE / "feed_readers.py") as readers,
    ):
        wait_until(answers)
        yield Bench(tmp_path, cluster, server, readers, url)
    receiver.kill()
    receiver.wait()


Measured = dict[str, Cost]


def two(one: Spent, other: Spent, counts: tuple[float, ...], counted: tuple[float, ...]) -> Any:
    """Two costs, from two runs with different numbers of both."""
    (a, b), (c, d) = counts, counted
    rest = a * d - b * c
    first = Cost().plus(one.used, d / rest).plus(other.used, -b / rest)
    second = Cost().plus(other.used, a / rest).plus(one.used, -c / rest)
    return first, second


def beyond(spent: Spent, costs: Measured, load: Load) -> Spent:
    """What is left when all that is known already is taken off."""
    known = {**dict.fromkeys(load.units(), Cost()), **costs}
    return spent._replace(used=spent.used.plus(predict(known, load), -spent.seconds))


def measure_commits(bench: Bench, costs: Measured) -> None:
    """Nodes at rest, commits, single posts, events of batches."""
    with bench.nodes(1):
        calm = bench.spend()
        costs["node"] = calm.used.over(calm.seconds)
        slow, fast = bench.spend(100), bench.flood()
        costs["commit"], costs["post"] = two(
            beyond(slow, costs, Load()), beyond(fast, costs, Load()),
            (slow.commits, slow.requests), (fast.commits, fast.requests),
        )  # fmt: skip
        print(f"posts: {slow.requests} in {slow.commits:.0f} commits,", end=" ")
        print(f"{fast.requests} in {fast.commits:.0f} ({fast.requests / fast.seconds:.0f}/s)")
        print("CPU ms of the hub for a post:", end=" ")
        print(*(f"{1000 * run.used.hub / run.requests:.2f}" for run in (slow, fast)))
        batches = bench.spend(10, 500)
        costs["batched"] = beyond(batches, costs, batches.rate()).used.over(batches.events)
        most = bench.flood(500, 4)
        print(f"as many batches of 500 as it takes: {most.events / most.seconds:,.0f} events/s")


def measure_deliveries(bench: Bench, costs: Measured) -> None:
    """Deliveries, with the bytes of their requests."""
    with bench.nodes(1):
        bench.subscribe()
        spent = bench.spend(4, 50)
        found = bench.received()
        costs["delivery"] = beyond(spent, costs, spent.rate()).used.over(found["count"])
        print(f"a webhook's request: {found['bytes'] / found['count']:.0f} bytes")


def measure_others(bench: Bench, costs: Measured) -> None:
    """What another node does with events that it did not commit."""
    with bench.nodes(2):
        runs = bench.spend(100), bench.spend(10, 500)
        left = [
            run._replace(used=beyond(run, costs, run.rate()).used._replace(
                hub=run.others - costs["node"].hub * run.seconds
            ))
            for run in runs
        ]  # fmt: skip
        costs["foreign commit"], costs["foreign event"] = two(
            left[0], left[1], *((run.requests, run.events) for run in runs)
        )
        busy = bench.flood()
        posts, commits = busy.requests / busy.seconds, busy.commits / busy.seconds
        print(f"{posts:,.0f} single posts/s in {commits:,.0f} commits/s", end=" ")
        print(f"take {busy.others / busy.seconds:.2f} cores of another node")


def measure_clients(bench: Bench, costs: Measured) -> None:
    """What one commit costs for each client that hears of it, or does not want it."""
    with bench.nodes(1):
        bench.hear(CLIENTS)
        spent = bench.spend(20)
        found = bench.readers.ask(do="stats")
        print(f"a live message: {found['bytes'] / found['messages']:.0f} bytes")
        costs["write"] = beyond(spent, costs, spent.rate()).used.over(found["messages"])
        bench.readers.ask(do="reset")
        spent = bench.spend(10, 16)
        load = spent.rate(clients=CLIENTS, share=1.0)
        costs["joined"] = beyond(spent, costs, load).used.over(
            (load.messages - load.writes) * spent.seconds
        )
    with bench.nodes(1):
        bench.hear(CLIENTS, query=NOTHING)
        spent = bench.spend(50)
        costs["visit"] = beyond(spent, costs, spent.rate()).used.over(spent.requests * CLIENTS)
    with bench.nodes(1):
        bench.hear(CLIENTS, FILTERS)
        runs = bench.spend(10, 4), bench.spend(4, 100)
        loads = [run.rate(clients=CLIENTS, share=1 / USERS, filters=FILTERS) for run in runs]
        costs["filter"], costs["test"] = two(
            *(beyond(run, costs, load) for run, load in zip(runs, loads, strict=True)),
            *((load.made * run.seconds, load.tests * run.seconds)
              for run, load in zip(runs, loads, strict=True)),
        )  # fmt: skip


def measure_idle(bench: Bench, costs: Measured) -> tuple[float, float]:
    """Connections at rest; bytes of memory of a node, and of each of them."""
    with bench.nodes(1) as (hub,):
        bench.hear(100)
        before = memory(hub.pid)
        bench.hear(4 * CLIENTS)
        each = (memory(hub.pid) - before) / CLIENTS / 4
        have = 100 + 4 * CLIENTS
        spent = bench.spend(seconds=40)
        costs["idle"] = beyond(spent, costs, Load()).used.over(spent.seconds * have)
        return before - 100 * each, each


def row(name: str, unit: str, predicted: float, measured: float) -> None:
    """A line of a comparison."""
    off = f"{predicted / measured - 1:+.0%}" if measured else ""
    print(f"  {name:<24} {predicted:>10.3f} {measured:>10.3f} {unit:<6} {off}")


def compare(name: str, costs: Measured, load: Load, spent: Spent) -> None:
    """Predicted and measured."""
    said, used = predict(costs, load), spent.used.over(spent.seconds)
    print(f"\n{name}\n  {'':<24} {'predicted':>10} {'measured':>10}")
    row("CPU of the hubs", "cores", said.hub, used.hub)
    row("CPU of PostgreSQL", "cores", said.database, used.database)
    if load.events:
        row("its log", "MB/s", said.wal / 1e6, used.wal / 1e6)


def check_idle(bench: Bench, costs: Measured, base: float, each: float) -> None:
    """10,000 connections at rest."""
    with bench.nodes(1) as (hub,):
        bench.hear(10_000)
        size = memory(hub.pid)
        spent = bench.spend(seconds=40)
        compare("10,000 connections at rest, one node", costs, spent.rate(clients=10_000), spent)
        row("memory", "MB", (base + each * 10_000) / 1e6, size / 1e6)


def check_mix(bench: Bench, costs: Measured, nodes: int, load: Load) -> None:
    """Clients that want some of the events, and a webhook that wants a tenth of them."""
    with bench.nodes(nodes):
        bench.hear(load.clients, load.filters)
        bench.subscribe(filter={"user_id": {"$lt": USERS / 10}})
        spent = bench.spend(load.events / load.batch, load.batch, 3 * SECONDS)
        messages, got = bench.readers.ask(do="stats")["messages"], bench.received()["count"]
        real = load._replace(
            nodes=nodes, events=spent.events / spent.seconds, deliveries=got / spent.seconds
        )
        name = (
            f"{nodes} node{'s' * (nodes > 1)}, {load.clients:,} clients, {load.filters:,} filters, "
            f"{real.events:,.0f} events/s by {load.batch}, {real.deliveries:,.0f} deliveries/s"
        )
        compare(name, costs, real, spent)
        row("messages to clients", "k/s", real.messages / 1e3, messages / spent.seconds / 1e3)


def test_scale(bench: Bench) -> None:
    """The costs, then three points at which the model is held against what runs."""
    print("\n")
    costs: Measured = {}
    measure_commits(bench, costs)
    measure_deliveries(bench, costs)
    measure_others(bench, costs)
    measure_clients(bench, costs)
    base, each = measure_idle(bench, costs)
    for name in ("write", "joined", "visit", "filter", "test", "idle"):
        # The database has no part in them: what it did meanwhile is its own.
        costs[name] = Cost(hub=costs[name].hub)
    print(f"\n{'':<16} {'hub, CPU µs':>12} {'PostgreSQL':>12} {'log, bytes':>12}")
    for name, cost in costs.items():
        print(f"{name:<16} {cost.hub * 1e6:>12.2f} {cost.database * 1e6:>12.2f} {cost.wal:>12.0f}")
    print(f"memory: {base / 1e6:.0f} MB, and {each / 1e3:.1f} KB for each connection")
    check_idle(bench, costs, base, each)
    share = 1 / USERS
    check_mix(bench, costs, 1, Load(events=200, batch=20, clients=5000, share=share, filters=1000))
    check_mix(bench, costs, 2, Load(events=2000, batch=200, clients=2000, share=share, filters=100))


def sequence(url: str, nodes: int, tasks: int) -> tuple[float, float]:
    """Single events and commits a second, when nodes do nothing else."""
    arguments = [sys.executable, str(HERE / "committing.py"), url, str(tasks), str(SECONDS)]
    running = []
    for _ in range(nodes):
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
        running.append(process)
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [[float(line) for line in process.communicate()[0].split()] for process in running]
    events, commits = map(sum, zip(*said, strict=True))
    return events, commits


def test_sequence() -> None:
    """What one sequence takes, which all nodes share, when each commit is synced to the disk."""
    print("\n\nsingle events, each node with so many producers that wait for their answers\n")
    print(f"{'nodes':>6} {'producers':>10} {'events/s':>10} {'commits/s':>10} {'a commit':>10}")
    with durable_cluster() as cluster:
        for nodes in (1, 2, 3):
            for tasks in (1, 32, 256):
                events, commits = sequence(cluster.new_database(), nodes, tasks)
                print(
                    f"{nodes:>6} {tasks:>10} {events:>10,.0f} {commits:>10,.0f} "
                    f"{events / commits:>10.1f}"
                )
