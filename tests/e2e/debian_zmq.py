"""zmq, from Debian's package; a test that cannot have it ends as one that did not run."""
import os
import sys

try:
    import zmq  # noqa: F401
except ImportError:  # Debian's package is for Debian's python3, which may not be the first of the path
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    print("python3-zmq is not installed")
    sys.exit(77)
