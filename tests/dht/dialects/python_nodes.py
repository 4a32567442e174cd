"""Nodes of the Python library `kademlia` on 127.0.0.1, told what to do in lines of JSON.

Run with the number of nodes and their k, and with the library, rpcudp and u-msgpack-python on PYTHONPATH. It first prints the ports of the
nodes; then for each line {"node": number, "do": name, ...} one with a "result" or an "error". It ends with its input.
"""

import asyncio
import json
import sys

from kademlia.network import Server


def to_json(value):
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def from_json(value):
    return bytes.fromhex(value["bytes"]) if isinstance(value, dict) else value


async def obey(node, order):
    match order["do"]:
        case "bootstrap":
            await node.bootstrap([tuple(address) for address in order["addresses"]])
            return len(node.bootstrappable_neighbors())
        case "set":
            return await node.set(order["key"], from_json(order["value"]))
        case "get":
            return to_json(await node.get(order["key"]))
        case "call":  # any method of another node
            method = getattr(node.protocol, order["method"])
            args = [from_json(arg) for arg in order["args"]]
            answered, result = await method(tuple(order["address"]), *args)
            return json.loads(json.dumps(result, default=to_json)) if answered else None
        case "id":
            return node.node.id.hex()
        case "stored":
            return len(list(node.storage))
    raise ValueError(f"Unknown order {order['do']}")


async def main(count, ksize):
    nodes = [Server(ksize=ksize) for _ in range(count)]
    for node in nodes:
        await node.listen(0, interface="127.0.0.1")
    ports = [node.transport.get_extra_info("sockname")[1] for node in nodes]
    print(json.dumps({"ports": ports}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        try:
            answer = {"result": await obey(nodes[order["node"]], order)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    for node in nodes:
        node.stop()


asyncio.run(main(*map(int, sys.argv[1:])))
