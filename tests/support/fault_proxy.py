"""An HTTP server's front that goes wrong as a test says: it answers in the server's place, cuts bodies, or stalls.

with FaultProxy(port) as proxy: proxy.faults.append(fault); each fault(method, path, head) is asked for each request
until one says what is to happen: None (nothing: the request goes on), or one of

    answer(status, code)   refused, in S3's words
    cut(size)              so many bytes of the answer's body, and then no more
    stall()                the request is never answered
"""
import re
import socket
import threading

SLOW_DOWN = 503, "SlowDown"


def answer(status, code):
    body = "<Error><Code>%s</Code></Error>" % code
    return "answer", ("HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)).encode()


def cut(size):
    return "cut", size


def stall():
    return "stall", None


def times(count, what, method="GET", matching=""):
    """what happens to the first so many requests of this kind"""
    left = [count]
    lock = threading.Lock()

    def fault(got_method, path, head):
        with lock:
            if left[0] == 0 or got_method != method or not re.search(matching, path + "\n" + head):
                return None
            left[0] -= 1
            return what
    fault.left = left
    return fault


class FaultProxy:
    def __init__(self, upstream):
        self.upstream = upstream  # a port of loopback, or the path of a Unix socket
        self.faults = []
        self.asked = []  # "METHOD path"
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.endpoint = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.closing = threading.Event()

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *rest):
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while not self.closing.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            self.one_request(client)
        except OSError:
            pass
        finally:
            try:
                client.shutdown(socket.SHUT_RDWR)  # also for the thread that reads from it
            except OSError:
                pass
            client.close()

    def one_request(self, client):
        data = b""
        while b"\r\n\r\n" not in data:
            got = client.recv(65536)
            if not got:
                return
            data += got
        head, rest = data.split(b"\r\n\r\n", 1)
        method, path, _ = head.decode("latin-1").split("\r\n")[0].split(" ")
        self.asked.append(method + " " + path)
        kind, value = next(filter(None, (f(method, path, head.decode("latin-1")) for f in self.faults)), (None, None))
        if kind == "answer":
            client.sendall(value)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
            return
        if kind == "stall":
            self.closing.wait()
            return
        with self.connect() as server:
            # Not signed: one request a connection makes all of this simple.
            server.sendall(head + b"\r\nConnection: close\r\n\r\n" + rest)
            threading.Thread(target=pump, args=(client, server), daemon=True).start()
            self.answer_of(server, client, value if kind == "cut" else None)

    def connect(self):
        if isinstance(self.upstream, int):
            return socket.create_connection(("127.0.0.1", self.upstream))
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.connect(self.upstream)
        return server

    @staticmethod
    def answer_of(server, client, size):
        head = b""
        while size is not None and b"\r\n\r\n" not in head:
            got = server.recv(65536)
            if not got:
                return
            head += got
        if size is not None:
            at = head.index(b"\r\n\r\n") + 4
            client.sendall(head[:at])
            body = head[at:]
            while len(body) < size:
                got = server.recv(65536)
                if not got:
                    break
                body += got
            client.sendall(body[:size])
            return
        while True:
            got = server.recv(262144)
            if not got:
                return
            client.sendall(got)


def pump(source, target):
    try:
        while True:
            got = source.recv(262144)
            if not got:
                return
            target.sendall(got)
    except OSError:
        pass
