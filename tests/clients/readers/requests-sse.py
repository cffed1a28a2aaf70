import sys
import time

import requests

url, begin = sys.argv[1:]
session = requests.Session()
position = None
while True:
    try:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": position}
        with session.get(f"{url}/v1/events", params={"after": begin}, headers=headers, stream=True, timeout=30) as response:
            block = {}
            for line in response.iter_lines():
                if line:
                    name, _, value = line.decode().partition(": ")
                    block[name] = value
                    continue
                position = block["id"]
                if "event" not in block:
                    print(block["data"], flush=True)
                elif block["event"] == "hello":
                    print("hello", file=sys.stderr, flush=True)
                block = {}
    except requests.RequestException:
        time.sleep(0.5)
