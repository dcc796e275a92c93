"""A Ceph RADOS Gateway in a directory of its own, for tests and benchmarks: one monitor, one OSD in memory and
radosgw, on free ports of loopback. It verifies signatures, ETags and ranges as a real S3 server does.

with Ceph() as ceph: ceph.endpoint, ceph.environment (keys for programs), ceph.put(...), ceph.notify(...)

It ends only what it started. Needs root, as its daemons do."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import signed_http  # noqa: E402
from mill import free_port, until  # noqa: E402

KEY, SECRET = "AKIATESTTESTTESTTEST", "secretsecretsecretsecretsecretsecretsecr"
NEEDED = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool")

CONF = """[global]
fsid = {fsid}
mon_initial_members = a
mon_host = v2:127.0.0.1:{v2}/0,v1:127.0.0.1:{v1}/0
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
public_network = 127.0.0.0/8
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_supported = none
keyring = {dir}/keyring
run_dir = {dir}
admin_socket = {dir}/$name.asok
pid_file = {dir}/$type.pid
log_file = {dir}/$name.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 2000
mon_data_avail_warn = 1
mon_data_avail_crit = 1
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
mon_data = {dir}/mon
osd_data = {dir}/osd
setuser_match_path = /
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
[client.rgw]
rgw_data = {dir}/rgw
ms_mon_client_mode = crc
rgw_frontends = beast endpoint=127.0.0.1:{rgw}
rgw_dns_name = localhost
rgw_thread_pool_size = 32
"""


def why_not():
    """Why this machine cannot run it; None when it can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return "no " + ", ".join(missing) + " (packages.txt)"
    return None if os.geteuid() == 0 else "Ceph's daemons need root"


class Ceph:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="shardmill-ceph-")
        self.port = free_port()
        self.endpoint = "http://127.0.0.1:%d" % self.port
        self.environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
                            "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_S3": self.endpoint}
        self.env = dict(os.environ, CEPH_CONF=os.path.join(self.dir, "ceph.conf"))
        self.env.pop("LD_PRELOAD", None)
        self.daemons = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *rest):
        for p in reversed(self.daemons):
            if p.poll() is None:
                p.send_signal(signal.SIGKILL)
            p.wait()
        if not os.environ.get("MILL_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, *argv, **more):
        done = subprocess.run(argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **more)
        if done.returncode != 0:
            raise AssertionError("%s: %s" % (" ".join(argv), done.stdout.decode(errors="replace")[-2000:]))
        return done.stdout.decode(errors="replace")

    def daemon(self, *argv):
        with open(os.path.join(self.dir, argv[0] + ".out"), "wb") as f:
            p = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        self.daemons.append(p)

    def start(self):
        fsid, v2, v1 = str(uuid.uuid4()), free_port(), free_port()
        path = lambda *names: os.path.join(self.dir, *names)  # noqa: E731
        for name in ("mon", "osd", "rgw"):
            os.mkdir(path(name))
        with open(path("ceph.conf"), "w") as f:
            f.write(CONF.format(dir=self.dir, fsid=fsid, v1=v1, v2=v2, rgw=self.port))
        self.run("ceph-authtool", "--create-keyring", path("keyring"), "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name in ("client.admin", "client.rgw"):
            self.run("ceph-authtool", path("keyring"), "--gen-key", "-n", name, "--cap", "mon", "allow *", "--cap", "osd",
                     "allow *")
        self.run("monmaptool", "--create", "--addv", "a", "[v2:127.0.0.1:%d,v1:127.0.0.1:%d]" % (v2, v1), "--fsid", fsid,
                 path("monmap"))
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", path("monmap"), "--keyring", path("keyring"))
        self.daemon("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.daemon("ceph-osd", "-i", "0", "-f")
        until(lambda: "1 up" in self.run("ceph", "osd", "stat"))
        self.daemon("radosgw", "-n", "client.rgw", "-f")
        self.run("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", "--access-key=" + KEY,
                 "--secret-key=" + SECRET)
        until(self.answers, every=0.1)

    def answers(self):
        """radosgw listens"""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def request(self, method, target, body=b"", **more):
        return signed_http.request(self.port, (KEY, SECRET), method, target, body, **more)

    def make_bucket(self, bucket):
        self.request("PUT", "/" + bucket)

    def put(self, bucket, key, path):
        """key is escaped already"""
        with open(path, "rb") as f:
            self.request("PUT", "/%s/%s" % (bucket, key), f)

    def put_bytes(self, bucket, key, data):
        self.request("PUT", "/%s/%s" % (bucket, key), data)

    def get(self, bucket, key):
        return self.request("GET", "/%s/%s" % (bucket, key))

    def delete(self, bucket, key):
        self.request("DELETE", "/%s/%s" % (bucket, key))

    def notify(self, bucket, hook):
        """Each object that is made in the bucket is posted to hook before its PUT is answered. (A persistent topic
        would wait for a queue that is looked at every half minute.)"""
        topic = "to-" + bucket
        form = "Action=CreateTopic&Name=%s&Attributes.entry.1.key=push-endpoint&Attributes.entry.1.value=%s" % (
                   topic, hook)
        self.request("POST", "/", form.encode(), service="sns", content_type="application/x-www-form-urlencoded")
        self.request("PUT", "/%s?notification=" % bucket,
                     b"<NotificationConfiguration><TopicConfiguration><Id>n1</Id><Topic>arn:aws:sns:default::"
                     + topic.encode() + b"</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration>"
                     b"</NotificationConfiguration>")


if __name__ == "__main__":  # by hand: runs until it is ended
    with Ceph() as c:
        print("\n".join("export %s=%s" % pair for pair in c.environment.items()), flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
