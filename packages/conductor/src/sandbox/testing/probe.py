"""A server for tests, as probe.cjs: answers `{"id", "eval"}` with what the code leaves in `value`."""
import json
import sys

for line in sys.stdin:
    question = json.loads(line)
    scope = {"__name__": "asked"}
    try:
        exec(question["eval"], scope)
        answer = {"value": scope.get("value")}
    except BaseException as error:
        answer = {"error": repr(error)}
    print(json.dumps({"id": question["id"], **answer}))
