"""The API's own description, dispatcher/openapi.json of a build, and what is asked and answered held against it.

Clients have to pass over members that they do not know; here each member has to be described."""
import json
import os
import re

try:
    import jsonschema
except ImportError:  # packages.txt names python3-jsonschema
    jsonschema = None

OFFICIAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "openapi", "schema-3.1.json")


def load(build):
    """None when nothing can be held against it here."""
    path = os.path.join(build, "dispatcher", "openapi.json")
    if jsonschema is None or not hasattr(jsonschema, "Draft202012Validator") or not os.path.exists(path):
        return None
    return Document(path)


class Document:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.text = f.read()
        self.json = json.loads(self.text)
        self.seen = set()  # (operation, status)
        self.members = set()  # (object, member) that some answer had, and not as null
        self.validators = {}
        self.strict = json.loads(self.text)
        for schema in self.strict["components"]["schemas"].values():
            schema["additionalProperties"] = False
        self.routes = [(method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", re.escape(p).replace(r"\{", "{").replace(r"\}", "}")) + "$"), o)
                       for p, methods in self.json["paths"].items() for method, o in methods.items()]

    def check_document(self):
        """Against the schema of OpenAPI 3.1, and each schema of it against JSON Schema; with openapi-spec-validator, where
        that is there, too."""
        with open(OFFICIAL, encoding="utf-8") as f:
            jsonschema.Draft202012Validator(json.load(f)).validate(self.json)
        for schema in self.json["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        try:
            import openapi_spec_validator
        except ImportError:
            return
        openapi_spec_validator.validate(self.json)

    def operation(self, method, path):
        return next((o for m, pattern, o in self.routes if m == method and pattern.match(path.split("?")[0])), None)

    def answer_schema(self, operation, status):
        answer = operation["responses"].get(str(status), operation["responses"]["default"])
        if "$ref" in answer:
            answer = self.json["components"]["responses"][answer["$ref"].split("/")[-1]]
        return answer["content"].get("application/json", {}).get("schema")

    def validate(self, schema, value, what):
        key = json.dumps(schema)
        if key not in self.validators:
            whole = dict(schema, components=self.strict["components"])
            self.validators[key] = jsonschema.Draft202012Validator(whole)
        for error in self.validators[key].iter_errors(value):
            raise AssertionError("%s is not as openapi.json says: %s: %s" % (
                what, "/".join(str(p) for p in error.absolute_path), error.message[:500]))

    def check(self, method, path, body, status, answer):
        """What was asked, when it was taken, and what came: JSON, or None for anything else."""
        operation = self.operation(method, path)
        if operation is None:
            return
        self.seen.add((operation["operationId"], status))
        schema = self.answer_schema(operation, status)
        if schema is not None and answer is not None:
            self.validate(schema, answer, "the answer %d of %s %s" % (status, method, path))
            self.note(schema, answer)
        if body and status < 300 and "requestBody" in operation:
            asked = json.loads(body) if isinstance(body, (str, bytes)) else body
            self.validate(operation["requestBody"]["content"]["application/json"]["schema"], asked,
                          "what %s %s took" % (method, path))

    def note(self, schema, value):
        """Which members have been seen, through all that stands below."""
        for one in schema.get("anyOf", []):
            self.note(one, value)
        if "$ref" in schema:
            name = schema["$ref"].split("/")[-1]
            inner = self.json["components"]["schemas"][name]
            if not isinstance(value, dict) or not set(inner.get("required", [])) <= set(value):
                return
            for member, below in inner["properties"].items():
                if value.get(member) is not None:
                    self.members.add((name, member))
                    self.note(below, value[member])
        elif isinstance(value, list):
            for one in value:
                self.note(schema.get("items", {}), one)
