import { assertEquals } from "@std/assert";
import { Attempts } from "../../src/discovery/attempts.ts";
import { GroupSocket } from "../../src/discovery/group_socket.ts";
import { Sockets } from "../../src/discovery/sockets.ts";
import { TransportError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import { type DatagramOptions, MemoryNetwork } from "../../src/transport/mod.ts";
import { settle } from "../endpoint/fixture.ts";
import { counting, interfaceOf } from "./lan.ts";

const GROUP = "239.1.11.11";
const PORT = 7;

Deno.test("GroupSocket hears the group on each interface by one socket, and has another where they change", async () => {
  const network = new MemoryNetwork();
  const { transport, open } = counting(network.host("alice"));
  const opened: DatagramOptions[] = [];
  const most: number[] = [];
  let isBroken = false;
  const [log, metrics, heard] = [silentLogger, new Metrics(), [] as string[]];
  const attempts = new Attempts(log, metrics);
  const sockets = new Sockets({
    transport: {
      ...transport,
      datagram: async (options = {}) => {
        if (isBroken) throw new TransportError("not now");
        opened.push(options);
        const socket = await transport.datagram(options);
        most.push(open.size);
        return socket;
      },
    },
    attempts,
    log,
    metrics,
  });
  const group = new GroupSocket({
    sockets,
    attempts,
    what: "questions",
    group: GROUP,
    port: PORT,
    take: ({ from }) => void heard.push(from.hostname),
  });
  const joined = () =>
    opened.splice(0).map(({ groups = [] }) => {
      return groups.map((one) => "interfaceAddress" in one ? one.interfaceAddress : "");
    });
  const one = { ...interfaceOf("10.0.0.1"), name: "eth0" };
  const second = { ...one, address: "10.0.0.2" }; // of the same interface: it must not join twice
  const v6 = { ...interfaceOf("fe80::1"), family: "IPv6" as const, index: 2 };
  await group.update([one, second, v6]);
  await group.update([one, second, v6]);
  assertEquals(joined(), [["10.0.0.2"]]);
  isBroken = true;
  await group.update([one, interfaceOf("10.0.1.1")]);
  assertEquals([open.size, metrics.snapshot()["discovery.failures"]], [1, 1]);
  isBroken = false;
  await group.update([one, interfaceOf("10.0.1.1")]);
  assertEquals(joined(), [["10.0.0.1", "10.0.1.1"]]);
  assertEquals([open.size, most.at(-1)], [1, 2]); // never deaf in between
  const asker = await network.host("bob").datagram();
  await asker.send(Uint8Array.of(1), { hostname: GROUP, port: PORT });
  await settle();
  assertEquals(heard, ["bob"]);
  for (const socket of open) socket.close(); // it broke
  await settle();
  await group.update([one, interfaceOf("10.0.1.1")]);
  assertEquals(joined().length, 1);
  asker.close();
  await sockets.closeAll();
  network.close();
});
