import asyncio
import json
import sys
from urllib.parse import urlencode

import websockets

url, begin = sys.argv[1:]


async def follow():
    position = {"after": begin}
    while True:
        try:
            async with websockets.connect(f"{url.replace('http', 'ws')}/v1/ws?{urlencode(position)}") as socket:
                async for message in socket:
                    frame = json.loads(message)
                    if "op" not in frame:
                        print(message, flush=True)
                    if frame.get("op") == "hello":
                        print("hello", file=sys.stderr, flush=True)
                        position = {"after": frame["after"], "epoch": frame["epoch"]}
                    position["after"] = frame.get("seq", position["after"])
        except (OSError, websockets.WebSocketException):
            pass
        await asyncio.sleep(0.5)


asyncio.run(follow())
