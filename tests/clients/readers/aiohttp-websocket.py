import asyncio
import sys

import aiohttp

url, begin = sys.argv[1:]


async def follow(session):
    position = {"after": begin}
    while True:
        try:
            async with session.get(f"{url}/v1/stats") as response:  # the WebSocket may get the connection of this request
                await response.json()
            async with session.ws_connect(f"{url}/v1/ws", params=position) as socket:
                async for message in socket:
                    frame = message.json()
                    if "op" not in frame:
                        print(message.data, flush=True)
                    if frame.get("op") == "hello":
                        print("hello", file=sys.stderr, flush=True)
                        position = {"after": frame["after"], "epoch": frame["epoch"]}
                    position["after"] = frame.get("seq", position["after"])
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.5)


async def main():
    async with aiohttp.ClientSession() as session:
        await follow(session)


asyncio.run(main())
