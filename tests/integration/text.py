"""Texts that are sent and received: media types, envelopes, NDJSON."""

import json
import re

JSON, NDJSON, SSE = "application/json", "application/x-ndjson", "text/event-stream"

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

NAME = r'"(?:[^"\\]|\\.)*"'
ENVELOPE = re.compile(rf'\{{"seq":(\d+),"time":"({TIME})","stream":({NAME}),"type":({NAME})'
                      rf'(?:,"id":({NAME}))?,"data":(.*)\}}', re.DOTALL)


def compact(text):
    """JSON text without its insignificant white space, otherwise as it was."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', lambda m: m.group(1) or "", text)


def data_text(envelope):
    """The payload of an envelope, byte for byte."""
    found = ENVELOPE.fullmatch(envelope)
    assert found, f"not an envelope with its members in order: {envelope[:500]}"
    return found[6]


def ndjson(documents):
    """Documents (or ready-made lines) as an NDJSON body."""
    lines = (d if isinstance(d, str) else json.dumps(d, ensure_ascii=False) for d in documents)
    return "".join(line + "\n" for line in lines).encode()


def seqs(events):
    return [event["seq"] for event in events]
