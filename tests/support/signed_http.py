"""Requests with AWS Signature Version 4, by Python's own means: what tests put and get is signed by other code than
what is tested, and no normalization comes between a key and the server."""
import datetime
import hashlib
import hmac
import http.client
import os


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(key, secret, region, service, method, target, headers):
    """The Authorization header; target is the escaped path and query, sorted as they are to be signed."""
    path, _, query = target.partition("?")
    names = ";".join(sorted(headers))
    lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
    canonical = "\n".join([method, path, query, lines, names, headers["x-amz-content-sha256"]])
    time = headers["x-amz-date"]
    scope = "%s/%s/%s/aws4_request" % (time[:8], region, service)
    text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (time, scope, hashlib.sha256(canonical.encode()).hexdigest())
    derived = ("AWS4" + secret).encode()
    for step in scope.split("/"):
        derived = _hmac(derived, step)
    return "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        key, scope, names, _hmac(derived, text).hex())


def request(port, keys, method, target, body=b"", service="s3", region="us-east-1", **more):
    """What 127.0.0.1:port answers; body: bytes or an open file. more: headers, with _ for -."""
    data = body if isinstance(body, bytes) else None
    headers = {"host": "127.0.0.1:%d" % port, **{name.replace("_", "-"): value for name, value in more.items()}}
    headers["x-amz-date"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD" if data is None else hashlib.sha256(data).hexdigest()
    headers["authorization"] = sign(*keys, region, service, method, target, dict(headers))
    headers["content-length"] = str(os.fstat(body.fileno()).st_size if data is None else len(data))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status // 100 != 2:
        raise AssertionError("%s %s: %d %s" % (method, target, answer.status, text[:500].decode(errors="replace")))
    return text
