"""What runners in Python share: the protocol of worker/run/runner_protocol.h, as JSON lines."""
import json
import sys


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(run):
    """run(first, count) gives the members of the answer beside those two."""
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "hello":
            say({"type": "hello", "protocol": 1})
        elif message["type"] == "run":
            first, count = message["first"], message["count"]
            say({"type": "done", "first": first, "count": count, **run(first, count)})
