import json
import sys
import time

import requests

url, begin = sys.argv[1:]
session = requests.Session()
position = {"after": begin}
wait = 0
while True:
    try:
        page = session.get(f"{url}/v1/events", params={**position, "wait": wait}, timeout=90).json()
        for event in page["events"]:
            print(json.dumps(event, ensure_ascii=False, separators=(",", ":")), flush=True)
        position = {"after": page["checkpoint"], "epoch": page["epoch"]}
        if wait == 0:
            print("hello", file=sys.stderr, flush=True)
        wait = 30
    except requests.RequestException:
        time.sleep(0.5)
