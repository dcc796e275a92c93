"""Real daemons in a directory of their own, for end-to-end tests and benchmarks.

A Mill starts shardmill-dispatcher and shardmill-worker from a build directory, on loopback and a Unix
socket below its temporary directory, and talks HTTP to the API. It ends only what it started."""
import http.client
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

DEADLINE = 60.0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class ApiError(Exception):
    def __init__(self, status, body, headers):
        super().__init__("%d: %s" % (status, body))
        self.status = status
        self.headers = headers
        self.body = body
        self.error = body.get("error", {}) if isinstance(body, dict) else {}


def free_port():
    """A port of loopback that nobody has. Not one of those that the system gives to connections: those are taken by
    tests that run beside this one, also while a daemon that listened there is being started again."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
            end = int(f.read().split()[0])
    except OSError:
        end = 32768
    first = 10000 if end > 12000 else 1024
    while True:
        port = random.SystemRandom().randrange(first, max(end, first + 1000))
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until(what, seconds=DEADLINE, every=0.02):
    """Calls what() until it gives something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (seconds, getattr(what, "__doc__", None) or what))
        time.sleep(every)


class Mill:
    def __init__(self, build, directory=None, params=None):
        self.build = os.path.abspath(build)
        self.dir = directory or tempfile.mkdtemp(prefix="shardmill-e2e-")
        self.state = os.path.join(self.dir, "state")
        self.socket = os.path.join(self.dir, "api.sock")
        self.port = free_port()
        self.params = params or {}
        self.dispatcher = None
        self.workers = []
        self.started = []
        self.logs = 0
        self.document = None  # openapi.Document: what the API says is held against it

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.abort_workers()
        for p in self.started:
            if p.poll() is None:
                p.send_signal(signal.SIGKILL)
                p.wait()
        if kind is not None:
            self.print_logs()
        elif not os.environ.get("MILL_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def abort_workers(self):
        """Two SIGTERMs end what workers run: a killed one would leave its attempts behind."""
        living = [p for p in self.workers if p.poll() is None]
        for _ in range(2):
            for p in living:
                p.send_signal(signal.SIGTERM)
            time.sleep(0.05)  # two that come as one are one
        for p in living:
            try:
                p.wait(3)
            except subprocess.TimeoutExpired:
                pass  # SIGKILL is next

    def print_logs(self):
        print("state and logs are kept in", self.dir)
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".log"):
                with open(os.path.join(self.dir, name), errors="replace") as f:
                    print("--- %s\n%s" % (name, "".join(f.readlines()[-15:])))

    def sql(self, question):
        """Rows of history, as tuples."""
        text = subprocess.run([self.program("shardmill"), "sql", "--history", os.path.join(self.state, "history.db"),
                               "--output=json", question], check=True, capture_output=True, text=True, timeout=60).stdout
        return [tuple(json.loads(line).values()) for line in text.splitlines()]

    def program(self, name):
        folder = {"shardmill-dispatcher": "dispatcher", "shardmill-worker": "worker",
                  "shardmill-scaler": "scaler", "shardmill": "cli"}.get(name, ".")
        return os.path.join(self.build, folder, name)

    def start(self, name, options, **more):
        log = os.path.join(self.dir, "%02d-%s.log" % (self.logs, name))
        self.logs += 1
        argv = [self.program(name)]
        for key, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                argv.append("--%s=%s" % (key.replace("_", "-"), one) if one is not True else "--" + key)
        with open(log, "wb") as f:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f, **more)
        p.log = log
        self.started.append(p)
        return p

    def start_dispatcher(self, wait=True, env=None, descriptors=None, **params):
        """descriptors: as many as it may have."""
        options = {"state_dir": self.state, "api_socket": self.socket, "listen": "tcp://127.0.0.1:%d" % self.port}
        options.update(self.params)
        options.update(params)
        if not os.path.isdir(os.path.join(self.state, "journal")):
            options["init"] = True
        more = {"env": env} if env else {}
        if descriptors:
            more["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.dispatcher = self.start("shardmill-dispatcher", options, **more)
        if wait:
            until(self.answers)
        return self.dispatcher

    def answers(self):
        """the dispatcher answers"""
        if self.dispatcher.poll() is not None:
            raise AssertionError("the dispatcher ended with %s: %s" % (self.dispatcher.returncode, open(self.dispatcher.log).read()))
        try:
            return self.api("GET", "/v1/status")
        except (OSError, http.client.HTTPException):
            return None

    def start_worker(self, env=None, **params):
        options = {"connect": "tcp://127.0.0.1:%d" % self.port, "keys_dir": os.path.join(self.state, "keys"),
                   "output_dir": os.path.join(self.state, "output"), "scratch_dir": os.path.join(self.dir, "scratch")}
        options.update(params)
        p = self.start("shardmill-worker", options, **({"env": env} if env else {}))
        self.workers.append(p)
        return p

    def kill(self, p):
        """kill -9, and see it gone"""
        p.send_signal(signal.SIGKILL)
        p.wait()
        if p in self.workers:
            self.workers.remove(p)

    def api(self, method, path, body=None, headers=None, raw=False, timeout=70.0):
        c = UnixConnection(self.socket, timeout)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            c.request(method, path, body, headers)
            answer = c.getresponse()
            data = answer.read()
        finally:
            c.close()
        if not raw or answer.status >= 400:
            try:
                data = json.loads(data) if data else {}
            except ValueError:
                data = {"error": {"message": data.decode("utf-8", "replace")}}
        if self.document is not None:
            parsed = data if answer.getheader("Content-Type") == "application/json" and not isinstance(data, bytes) else None
            self.document.check(method, path, body, answer.status, parsed)
        if answer.status >= 400:
            raise ApiError(answer.status, data, answer.headers)
        return data

    def submit(self, definition=None, **more):
        """The id of a job; definition is YAML text."""
        body = dict(more)
        if definition is not None:
            body["definition"] = definition
        return self.api("POST", "/v1/jobs", body)["id"]

    def job(self, job):
        return self.api("GET", "/v1/jobs/%d" % job)

    def wait(self, job, seconds=DEADLINE):
        """The job, ended; goes on over restarts of the dispatcher."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                j = self.api("GET", "/v1/jobs/%d/wait?timeout=1s" % job)
                if j["state"] in ("succeeded", "failed", "cancelled"):
                    return j
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
        raise AssertionError("job %d did not end within %g s: %s" % (job, seconds, self.job(job)))

    def output(self, job, query=""):
        return self.api("GET", "/v1/jobs/%d/output%s" % (job, query), raw=True)
