#!/usr/bin/python3 -IS
"""Barostat's guest agent: says what memory this VM needs, and at once when it runs short.

One file for Python 3.6 and newer, standard library only: it is copied INTO guests, imports nothing
of Barostat, and the host imports nothing of it. One thread, one poll loop. It has to run when
nothing else does: what it reads is opened once, what it touched is locked in memory, and the OOM
killer passes it by. It moves no memory, and starts nothing but the operator's hook.
"""

import contextlib
import getopt
import json
import os
import select
import signal
import subprocess
import sys
import time

VERSION = "0.1.0"
PORT = "org.barostat.agent.0"
HOOK = "/etc/barostat-agent/hook"
STATUS = "/run/barostat-agent/status.json"
RULES = "/etc/udev/rules.d/90-barostat-memory.rules"
USAGE = """usage: barostat-agent run [--port PATH]   speak with the host, as its service does
       barostat-agent status [--json]     what this VM has and may have; 3: no host is heard
--root DIR: where /proc, /sys, /dev, /etc and /run are"""
SIZES = ("assigned", "minimum", "startup", "maximum")
LINE_BYTES = 4096  # the protocol's longest line, with its newline
QUEUE_BYTES = 4 * LINE_BYTES  # that wait for the host to read
MIB = 2**20
RETRY_S = 1.0  # for the port, for the host, for its welcome
STILL_S = 1.0  # without a fall, or a stall: then all is calm
STALL_S = 0.1  # how often is looked whether programs still wait for memory
HOOK_S = 2.0  # for the hook after a grow; before a shrink the host says how long
LOOK_LEAST_S, LOOK_MOST_S = 0.045, 0.2
FILL_BYTES_S = 2**34  # four times what a core fills: between two looks it gets a quarter at most
ONLININGS = ("online", "online_kernel", "online_movable", "offline", "auto-movable")
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
LOG_LINES, LOG_S = 20, 60.0  # neither the host nor a hook fills this guest's journal
logged = []  # type: list[float]


def say(text: str) -> None:
    now = time.monotonic()
    if len(logged) < LOG_LINES or now - logged[0] > LOG_S:
        logged.append(now)
        del logged[:-LOG_LINES]
        with contextlib.suppress(OSError):  # nobody reads it; the host is still told
            os.write(2, f"barostat-agent: {text}\n".encode("ascii", "backslashreplace"))


def read_text(path: str) -> "str | None":
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(LINE_BYTES).strip()
    except OSError:
        return None


def whole(said: "dict[str, object]", key: str) -> int:
    value = said.get(key)
    if type(value) is not int or not 0 <= value < 2**63:  # True is no number
        raise ValueError(key)
    return value


def falls(said: int, available: int, total: int, *, falling: bool) -> bool:
    """Say whether so much less is available than was said that the host should hear it now."""
    # 1 % of all, or an eighth of what was left; less than 1 MiB may be how each CPU counts.
    step = max(min(max(total // 100, 4 * MIB), said // 8), MIB)
    return said - available >= (step // 4 if falling else step)


def open_pressure(path: str, law: bytes) -> int:
    """Open the kernel's word on who waits for memory, to be called by a law; -1 if it has none."""
    fd = -1
    try:
        fd = os.open(path, (os.O_RDWR if law else os.O_RDONLY) | os.O_NONBLOCK)
        return fd if not law or os.write(fd, law) else -1
    except OSError:  # before Linux 4.20, with psi=0, or without the right
        if fd >= 0:
            os.close(fd)
        return -1


class Kernel:
    """What this guest's kernel says, in bytes. Its files stay open: to open one takes memory."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.meminfo = open(root + "/proc/meminfo", "rb", 0)
        self.vmstat = open(root + "/proc/vmstat", "rb", 0)
        path = root + "/proc/pressure/memory"
        self.pressure = open_pressure(path, b"")
        self.trigger = open_pressure(path, b"some 50000 500000\0")
        if self.trigger < 0:
            self.trigger = open_pressure(path, b"some 100000 2000000\0")  # needs no rights

    def available(self) -> "tuple[int, int]":
        words = os.pread(self.meminfo.fileno(), 256, 0).split(None, 8)
        if len(words) < 8 or words[6] != b"MemAvailable:":
            sys.exit("barostat-agent: /proc/meminfo has no MemAvailable; Linux 3.14 or newer does")
        return int(words[1]) * 1024, int(words[7]) * 1024

    def stalled(self) -> "dict[bytes, int]":
        """Say how long some programs, and all, have waited for memory, in microseconds."""
        try:
            lines = os.pread(self.pressure, 512, 0).split(b"\n")
        except OSError:
            return {}
        return {line[:4]: int(line.rpartition(b"total=")[2]) for line in lines if b"total=" in line}

    def figures(self) -> "dict[str, int | None]":
        said = {}  # type: dict[str, int]
        for file in (self.meminfo, self.vmstat):
            file.seek(0)
            for row in map(bytes.split, file.read().splitlines()):
                said[row[0].decode()] = int(row[1]) * (1024 if row[2:] == [b"kB"] else 1)
        stalled = self.stalled()

        def summed(*starts: str, unit: int = 1) -> "int | None":  # one a zone or one of all
            keys = [key for key in said if key.startswith(starts) and "throttle" not in key]
            return sum(said[key] for key in keys) * unit if keys else None

        page = os.sysconf("SC_PAGE_SIZE")
        newer = "workingset_refault_file" in said
        return {
            "total": said["MemTotal:"],
            "available": said["MemAvailable:"],
            "free": said["MemFree:"],
            "caches": said["Buffers:"] + said["Cached:"] + said.get("SwapCached:", 0),
            "committed": said["Committed_AS:"],
            "swap_total": said.get("SwapTotal:", 0),
            "swap_free": said.get("SwapFree:", 0),
            "swap_in": said.get("pswpin", 0) * page,
            "swap_out": said.get("pswpout", 0) * page,
            "major_faults": said.get("pgmajfault", 0),
            "oom_kills": said.get("oom_kill"),
            "alloc_stalls": summed("allocstall"),
            "refaulted": summed("workingset_refault" + ("_file" if newer else ""), unit=page),
            "scanned": summed("pgscan_kswapd", "pgscan_direct", unit=page),
            "stalled_us": stalled.get(b"some"),
            "full_stalled_us": stalled.get(b"full"),
        }

    def facts(self) -> "dict[str, object]":
        memory = self.root + "/sys/devices/system/memory/"
        block = read_text(memory + "block_size_bytes")
        online = read_text(memory + "auto_online_blocks")
        policy = read_text(self.root + "/sys/module/memory_hotplug/parameters/online_policy")
        if online == "offline" and os.path.exists(self.root + RULES):
            online = "online_movable"  # not by the kernel, but by our rule
        elif online != "offline" and policy == "auto-movable":
            online = policy
        return {
            "boot": read_text(self.root + "/proc/sys/kernel/random/boot_id") or "unknown",
            "kernel": os.uname().release,
            "block": int(block, 16) if block else None,
            "online": online if online in ONLININGS else None,
        }


class Port:
    """The line to the host. It is never waited for: neither to be read nor to be written."""

    def __init__(self, path: "str | None", root: str) -> None:
        self.given, self.root, self.fd = path, root, -1
        self.inbox = self.outbox = b""

    def find(self) -> str:
        named = self.root + "/dev/virtio-ports/" + PORT  # by udev; below, where there is none
        if self.given or os.path.exists(named):
            return self.given or named
        ports = self.root + "/sys/class/virtio-ports"
        for entry in sorted(os.listdir(ports)) if os.path.isdir(ports) else []:
            if read_text(f"{ports}/{entry}/name") == PORT:
                return f"{self.root}/dev/{entry}"
        raise OSError(f"no port {PORT}; `barostat prepare` on the host says how to add it")

    def open(self) -> None:
        """Open it, anew if it was unplugged: who held it only sees that nobody is there."""
        path = self.find()
        if self.fd >= 0 and not os.path.samestat(os.stat(path), os.fstat(self.fd)):
            os.close(self.fd)
            self.fd = -1
        if self.fd < 0:
            self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)

    def read(self) -> "list[bytes]":
        """Read the lines that are there."""
        try:
            piece = os.read(self.fd, QUEUE_BYTES)
        except BlockingIOError:
            return []
        if not piece:
            raise OSError("nobody is at its end of the port")
        *lines, rest = (self.inbox + piece).split(b"\n")
        self.inbox = rest[:LINE_BYTES]  # what is longer is no line, however it goes on
        return lines

    def send(self, line: "dict[str, object]", *, keep: bool) -> bool:
        """Send a line. If others wait for the host to read, it waits with them, or is not sent."""
        if self.outbox and (not keep or len(self.outbox) >= QUEUE_BYTES):
            return False
        self.outbox += json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
        self.flush()
        return True

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.outbox = self.outbox[os.write(self.fd, self.outbox) :]


class Hook:
    """The operator's program, told of a shrink and of a grow. One run at a time, and one waits."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.child = None  # type: subprocess.Popen[bytes] | None
        # Of a run: its arguments, when it must have ended, which number the host wants answered.
        self.run = self.waits = None  # type: tuple[list[str], float, int | None] | None

    def there(self) -> bool:
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
            say(f"{self.path} is not run: others than root may write to it")
            return False
        return os.path.isfile(self.path) and os.access(self.path, os.X_OK)

    def step(self, now: float) -> "list[tuple[int | None, bool]]":
        """Reap, end and start runs; give what the host wants to hear: numbers, and how it went."""
        ended = []
        code = self.child.poll() if self.child else None
        if self.child and self.run and (code is not None or now >= self.run[1]):
            ended.append((self.run[2], code == 0))
            if code is None:
                os.killpg(self.child.pid, signal.SIGKILL)  # with all that it started; reaped later
            if code != 0:
                say(f"hook {self.run[0][0]} " + (f"ended with {code}" if code else "took too long"))
            self.run = None
        if code is not None:
            self.child = None
        if self.waits and not self.child:
            self.run, self.waits = self.waits, None
            if now >= self.run[1] or not self.start(self.run[0]):
                ended.append((self.run[2], False))
                self.run = None
        return ended

    def start(self, words: "list[str]") -> bool:
        try:
            self.child = subprocess.Popen(
                [self.path, *words], env=CLEAN, preexec_fn=spare, start_new_session=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            say(f"hook {words[0]} was not started: {error}")
        return self.child is not None


class Agent:
    """The loop: hears the host and the kernel, and tells the host."""

    def __init__(self, port: "str | None", root: str) -> None:
        self.path = root + STATUS
        self.kernel, self.port, self.hook = Kernel(root), Port(port, root), Hook(root + HOOK)
        self.poll = select.poll()
        if self.kernel.trigger >= 0:
            self.poll.register(self.kernel.trigger, select.POLLPRI)
        self.connected, self.fault = False, ""  # whether the host's end is open, or what is wrong
        self.session, self.boot, self.seq = "", "", 0
        self.every_s, self.least_s, self.why = 1.0, 0.05, ""  # how often to report, and why now
        self.said = self.stalled_us = 0  # the most available since the last report, stalled by it
        self.retry_at = self.look_at = self.reported_at = 0.0
        self.fell_at = self.stalled_at = -STILL_S
        self.status = {"v": 1, "pid": os.getpid()}  # type: dict[str, object]
        self.keep(heard=False, since=time.strftime("%FT%TZ", time.gmtime()))

    def run(self) -> None:
        while True:
            due_at = self.reported_at + (self.least_s if self.why else self.every_s)
            until = min(self.look_at, due_at) if self.session else self.retry_at
            wait_s = max(0.0, until - time.monotonic())
            if self.hook.child or self.hook.waits:
                wait_s = min(wait_s, 0.02)
            events = dict(self.poll.poll(wait_s * 1000 + 1))
            self.turn(time.monotonic(), self.kernel.trigger in events, self.port.fd in events)

    def turn(self, now: float, called: bool, heard: bool) -> None:
        if called:
            self.stalled_at, self.why = now, "stalled"
        try:
            if self.connected or now >= self.retry_at:
                self.converse(now, heard)
        except OSError as error:
            self.lost(error.strerror or str(error))
        for number, ok in self.hook.step(now):
            self.done(number, ok)

    def converse(self, now: float, heard: bool) -> None:
        if not self.connected:
            self.retry_at = now + RETRY_S
            self.port.open()
        lines = self.port.read() if heard or not self.connected else []
        if not self.connected:
            self.connected, self.fault, self.retry_at = True, "", now
            self.poll.register(self.port.fd, select.POLLIN)
        self.hear(lines, now)
        if self.port.outbox:
            self.port.flush()
        if not self.session:
            return self.hello(now) if now >= self.retry_at else None
        if now >= self.look_at:
            self.look(now)
        if now >= self.reported_at + self.every_s:
            self.why = self.why or "calm"
        if self.why and now >= self.reported_at + self.least_s:
            self.report(now)
        return None

    def lost(self, fault: str) -> None:
        """Forget the host. Its port would be readable all the time now: it is not polled."""
        if fault != self.fault:  # once, however long it lasts
            say(f"no host: {fault}")
        if self.connected:
            self.poll.unregister(self.port.fd)
        if self.session:
            self.keep(heard=False, since=time.strftime("%FT%TZ", time.gmtime()))
        self.connected, self.fault, self.session, self.why = False, fault, "", ""
        self.port.inbox = self.port.outbox = b""

    def hear(self, lines: "list[bytes]", now: float) -> None:
        for line in lines:
            try:
                said = json.loads(line.decode("ascii")) if len(line) < LINE_BYTES else None
                if not isinstance(said, dict) or whole(said, "v") != 1:
                    raise ValueError(line)
                hears = getattr(self, f"on_{said.get('type')}", None)  # of a newer host: ignored
                if hears:
                    hears(said, now)
            except (ValueError, RecursionError):
                say("the host said something that is none of the protocol")
                if now >= self.retry_at:  # perhaps there was a welcome in it: this brings another
                    self.hello(now)

    def on_welcome(self, said: "dict[str, object]", now: float) -> None:
        session, every = said.get("session"), whole(said, "every_ms") / 1000
        if not isinstance(session, str) or not 0 < len(session) <= 16:
            raise ValueError("session")
        self.every_s = min(max(every, 0.1), 60.0)
        self.least_s = min(max(whole(said, "least_ms") / 1000, 0.01), self.every_s)
        if not self.session:
            self.keep(heard=True, since=time.strftime("%FT%TZ", time.gmtime()))
        self.session, self.seq = session, 0
        self.hello(now)
        self.why, self.reported_at, self.look_at = "calm", now - self.every_s, now

    def on_ask(self, _said: "dict[str, object]", _now: float) -> None:
        self.why = self.why or "asked"

    def on_word(self, said: "dict[str, object]", _now: float) -> None:
        status = said.get("status")
        if not isinstance(status, str) or not status.isalpha() or len(status) > 16:
            raise ValueError("status")
        self.keep(status=status, **{key: whole(said, key) for key in SIZES})

    def on_shrink(self, said: "dict[str, object]", now: float) -> None:
        limit_s = min(whole(said, "deadline_ms"), 60000) * 0.0009  # the answer needs some, too
        self.call("shrink", whole(said, "to"), now + limit_s, whole(said, "id"))

    def on_grown(self, said: "dict[str, object]", now: float) -> None:
        self.call("grow", whole(said, "to"), now + HOOK_S, None)

    def call(self, what: str, to: int, deadline: float, number: "int | None") -> None:
        if not self.hook.there():
            return self.done(number, True)
        if self.hook.waits:  # it will not have its turn any more
            self.done(self.hook.waits[2], False)
        words = [what, str(to), str(self.status.get("maximum", 0))]
        self.hook.waits = (words, deadline, number)
        return None

    def done(self, number: "int | None", ok: bool) -> None:
        if number is not None and self.session:
            self.send({"type": "done", "id": number, "ok": ok})

    def hello(self, now: float) -> None:
        self.retry_at = now + RETRY_S
        facts = self.kernel.facts()
        self.boot = str(facts["boot"])
        self.send(dict(facts, type="hello", agent=VERSION, hook=self.hook.there()))

    def look(self, now: float) -> None:
        """See whether memory falls, and whether programs go on waiting for it."""
        total, available = self.kernel.available()
        self.said = max(self.said, available)  # what was given since may fall, too
        # To wake up costs more than to look: the more there is, the rarer.
        pause_s = min(max(available / FILL_BYTES_S, LOOK_LEAST_S), LOOK_MOST_S)
        if falls(self.said, available, total, falling=now - self.fell_at < STILL_S):
            self.fell_at, self.why = now, "falling"
        if now - self.fell_at < STILL_S:
            pause_s = max(self.least_s, LOOK_LEAST_S)
        if now - self.stalled_at < STILL_S:
            pause_s = min(pause_s, STALL_S)
            stalled_us = self.kernel.stalled().get(b"some", 0)
            if now - self.reported_at >= STALL_S and stalled_us > self.stalled_us + 1000:
                self.stalled_at, self.why = now, self.why or "stalled"
        self.look_at = now + pause_s

    def report(self, now: float) -> None:
        figures = self.kernel.figures()
        line = {"type": "report", "seq": self.seq + 1, "why": self.why}  # type: dict[str, object]
        line.update(figures)
        self.reported_at, self.why = now, ""
        self.said, self.stalled_us = figures["available"] or 0, figures["stalled_us"] or 0
        self.seq += self.send(line, keep=False)

    def send(self, line: "dict[str, object]", *, keep: bool = True) -> bool:
        return self.port.send(dict(line, v=1, session=self.session, boot=self.boot), keep=keep)

    def keep(self, **words: object) -> None:
        """Write the status for whoever wants to know, whole or not at all."""
        self.status.update(words)
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(self.path + ".new", "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(json.dumps(self.status) + "\n")
            os.replace(self.path + ".new", self.path)
        except OSError as error:
            say(f"{self.path} cannot be written: {error.strerror}")


def spare(score: int = 0) -> None:
    """Set how gladly the OOM killer takes this process: -1000 never, 0 like any other."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError as error:
        say(f"the OOM killer may take it: {error.strerror}")


def lock() -> None:
    """Keep in memory what was ever touched, and only that: all would be a third more."""
    try:
        import ctypes

        if ctypes.CDLL(None, use_errno=True).mlockall(1 | 2 | 4):  # current, future, on fault
            say(f"not locked in memory: {os.strerror(ctypes.get_errno())}")
    except (ImportError, OSError):
        say("not locked in memory: this Python has no ctypes")


def run(port: "str | None", root: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nothing is read there, by no hook either
    lock()
    spare(-1000)
    agent = Agent(port, root)
    try:
        agent.run()
    finally:
        os.unlink(agent.path)


def status(root: str, *, as_json: bool) -> int:
    """Print what this VM has and may have. What an agent that is gone has left says nothing."""
    said = json.loads(read_text(root + STATUS) or "{}")
    if not os.path.exists(f"/proc/{said.get('pid')}"):
        said = {"v": 1, "heard": False}
    if as_json:
        print(json.dumps(said))
    else:
        for key in ("heard", "since", "status", *SIZES):
            value = said.get(key, "-")
            value = f"{value // MIB} MiB" if key in SIZES and key in said else value
            print(f"{key:9} {'yes' if value is True else 'no' if value is False else value}")
    return 0 if said["heard"] else 3


def main(arguments: "list[str]") -> int:
    try:
        pairs, words = getopt.gnu_getopt(arguments, "", ["port=", "root=", "json"])
    except getopt.GetoptError as error:
        pairs, words = [], [str(error)]
    options = dict(pairs)
    if words == ["run"]:
        run(options.get("--port"), options.get("--root", ""))
    if words == ["status"]:
        return status(options.get("--root", ""), as_json="--json" in options)
    print(USAGE, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
