#!/bin/sh
# The first process of the guest. What the test reads goes to the serial line, marked by ###.
# CLI, WORKER, PROBE, EAT, UNIT, BUILT_EAT are set by lines that guest.py puts behind this one.
export PATH=/bin HOME=/tmp TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for n in 0 1; do
	echo "### node$n cpus $(cat /sys/devices/system/node/node$n/cpulist)"
done
# A group that is delegated to the mill: it has the memory controller, and the mill moves below it, as a
# service does (README).
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/mill

export SHARDMILL_STATE_DIR=/tmp/state
cat >/tmp/service.sh <<'END'
echo $$ >/sys/fs/cgroup/mill/cgroup.procs # what starts the service does
g=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)
mkdir -p $g/up && echo $$ >$g/up/cgroup.procs && exec "$CLI" up --cgroup=$g "$@"
END
export CLI
sh /tmp/service.sh --pool-min=2 --pool-max=2 --journal-segment=16MiB >/tmp/up.log 2>&1 &
up=$!

# until COMMAND…: calls it for 120 s at most until it succeeds.
until_true() {
	left=1200
	while ! "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || { echo "### not in time: $*"; return 1; }
		usleep 100000
	done
}
two_workers() { [ "$("$CLI" workers --output=json | grep -o '"numa_node"' | wc -l)" = 2 ]; }
until_true two_workers

# run NAME PIN: four shards, one for each core, at the same time.
probe() {
	mkdir "/tmp/$1"
	cat >"/tmp/$1.yaml" <<END
version: 1
name: $1
shard: {count: 4}
run: {exec: [$PROBE, /tmp/$1, "4"], resources: {cpus: 1, memory: 64MiB, pin: $2}}
gather: {exec: [cat]}
END
	"$CLI" submit --wait "/tmp/$1.yaml" >"/tmp/$1.log" 2>&1 || cat "/tmp/$1.log"
	"$CLI" output last | sed "s/^/### $1 /"
}
probe cores core
probe nodes numa
probe anywhere none

# eat NAME OOM: 80 MiB where 48 are given.
eat() {
	cat >"/tmp/$1.yaml" <<END
version: 1
name: $1
shard: {count: 2}
run: {exec: [sh, -c, "$EAT 80 && echo attempt \$SHARDMILL_ATTEMPT"], resources: {memory: 48MiB}}
retry: {attempts: 3, backoff: 10ms, oom: $2}
END
	"$CLI" submit --wait "/tmp/$1.yaml" >"/tmp/$1.log" 2>&1
	echo "### $1 exit $?"
	"$CLI" output last 2>&1 | sed "s/^/### $1 output /"
}
eat larger larger
eat same same
shown() { "$CLI" show last | grep cgroup; }
until_true shown
"$CLI" show last | sed "s/^/### show /"
grep -h memory_bound= /tmp/up.log /tmp/state/*.log /tmp/state/*/*.log 2>/dev/null | sed "s/^/### /"

# A worker that is alone in its group makes room there by itself, and tidies up.
mkdir /sys/fs/cgroup/alone
sh -c 'echo $$ >/sys/fs/cgroup/alone/cgroup.procs; exec "$0" --connect=ipc:///tmp/state/dispatcher.sock \
	--keys-dir=/tmp/state/keys --output-dir=/tmp/state/output --memory-bound=cgroup' "$WORKER" >/tmp/alone.log 2>&1 &
alone=$!
until_true grep -E "worker started|cannot start" /tmp/alone.log
sed "s/^/### alone /" /tmp/alone.log
kill $alone
wait $alone
echo "### alone groups left: $(ls -d /sys/fs/cgroup/alone/shardmill-* 2>/dev/null | wc -l)"

kill $up
wait $up
echo "### groups left: $(ls -d /sys/fs/cgroup/mill/shardmill-* 2>/dev/null | wc -l)"
# The stories of control groups once more, now with v2 and in the worker's own group.
# The test knows the program by where it was built.
mkdir -p "$(dirname "$BUILT_EAT")" && ln -s "$EAT" "$BUILT_EAT"
"$UNIT" --filter "memory/@(a_control*|what_is_read*|nothing_leaves*|a_runner*|the_groups*)" 2>&1 | sed "s/^/### unit /"
echo "### end"
cat /tmp/up.log
poweroff -f
