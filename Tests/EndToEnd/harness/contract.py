"""The API document of a gateway, and whether an answer keeps to it."""
import functools
import json

import jsonschema_rs


class Contract:
    """What `/openapi.json` promises. Answers on paths that it does not name are none of its business."""

    def __init__(self, document):
        self.document = document
        self._operations = [(segments(path), path, item) for path, item in document["paths"].items()]

    @classmethod
    def read(cls, text):
        """The contract of a document's text, made once for all gateways that give the same."""
        return _contract(text)

    def check(self, method, target, response):
        """Fails unless the status is documented and the body is what the document says."""
        found = self.operation(method, target)
        if found is None:
            return
        path, operation = found
        place = f"{method} {path} answered {response.status}"
        documented = operation["responses"].get(str(response.status))
        assert documented is not None, f"{place}, which is not documented: {response.raw[:500]!r}"
        content = documented.get("content")
        if not content:
            assert not response.body, f"{place} with a body"
            return
        kind = (response.header("content-type") or "").partition(";")[0]
        assert kind in content, f"{place} as {kind}, which is not documented"
        if kind == "application/json" and response.complete:
            self.validate(content[kind]["schema"], json.loads(response.body), place)

    def validate(self, schema, value, place):
        """Fails unless `value` is valid."""
        errors = [f"{list(error.instance_path)}: {error.message[:300]}" for error in self._validator(json.dumps(schema)).iter_errors(value)]
        assert not errors, f"{place}: {errors[:5]}"

    def operation(self, method, target):
        """The path template and the operation that answer a request; None where the document knows neither."""
        path = target.partition("?")[0]
        if "//" in path:
            return None
        asked = segments(path)
        # A literal segment goes before a parameter.
        for literal in (True, False):
            for template, path, item in self._operations:
                if fits(template, asked, literal) and method.lower() in item:
                    return path, item[method.lower()]
        return None

    @functools.lru_cache(maxsize=None)
    def _validator(self, schema):
        whole = {**json.loads(schema), "components": self.document["components"]}
        return jsonschema_rs.Draft202012Validator(whole)


@functools.lru_cache(maxsize=None)
def _contract(text):
    return Contract(json.loads(text))


def segments(path):
    """The segments of a path; empty ones do not count."""
    return [segment for segment in path.split("/") if segment]


def fits(template, asked, literal):
    """Whether a path fits a template; with `literal`, only if no parameter stands for any of it."""
    if len(template) != len(asked):
        return False
    return all(part == given or (part.startswith("{") and not literal) for part, given in zip(template, asked))
