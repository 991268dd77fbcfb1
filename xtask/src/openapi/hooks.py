"""What JSON Schema cannot say about the API's texts, for schemathesis."""

import datetime
import uuid

import schemathesis
from hypothesis import strategies as st

FORMATS = {
    "origin": ["https://app.example.com", "https://*.example.com", "http://localhost:3000", "null"],
    "cidr": ["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32", "192.0.2.1"],
    "ip-address": ["192.0.2.1", "2001:db8::1"],
    "key-prefix": ["tk_live", "tk_test"],
    "entity-tags": ['"1"', '"2", "3"', 'W/"7"', "*"],
    "date-time": ["2031-01-01T00:00:00Z", "2040-06-30T23:59:59.5+02:00"],
    "idempotency-key": ["0b0e52b3-71a5-4a2c-b41c-7a2f6f9d3d1e"],
    # Others belong to the list that gave them.
    "cursor": [""],
}

for name, texts in FORMATS.items():
    schemathesis.openapi.format(name, st.sampled_from(texts))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes what is well formed fit the state of the server."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    # Another request under the key of an earlier one is refused, as it should be.
    if case.headers and case.headers.get("Idempotency-Key") in FORMATS["idempotency-key"]:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # A time of an earlier answer is over.
    if isinstance(case.body, dict) and isinstance(case.body.get("expires_at"), str):
        try:
            expires_at = datetime.datetime.fromisoformat(case.body["expires_at"])
        except ValueError:
            return
        if expires_at.year == datetime.datetime.now().year:
            case.body["expires_at"] = FORMATS["date-time"][0]
