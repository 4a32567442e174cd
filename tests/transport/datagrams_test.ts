/**
 * What every datagram socket promises, on both kinds of real UDP sockets and in memory.
 */

import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  ClosedError,
  InvalidPacketError,
  TransportError,
  UnsupportedError,
} from "../../src/errors.ts";
import {
  type DatagramOptions,
  type DatagramSocket,
  MemoryNetwork,
  openDatagram,
} from "../../src/transport/mod.ts";
import { openNodeDatagram } from "../../src/transport/udp_node.ts";

type Open = (options?: DatagramOptions) => Promise<DatagramSocket>;

const LOOPBACK = "127.0.0.1";
const GROUP = "239.1.11.11";

const KINDS: Record<string, () => Open> = {
  udp: () => openDatagram,
  "node:dgram": () => openNodeDatagram,
  memory: () => {
    const host = new MemoryNetwork().host("host");
    return (options) => host.datagram(options);
  },
};
const REAL_KINDS: Record<string, Open> = { udp: openDatagram, "node:dgram": openNodeDatagram };

for (const [kind, make] of Object.entries(KINDS)) {
  Deno.test(`DatagramSocket (${kind}) sends and receives, and says who sent`, async () => {
    const [a, b] = await openTwo(make());
    await a.send(bytes(1, 2, 3), b.address);
    assertEquals(await receiveCopy(b), { data: bytes(1, 2, 3), from: a.address });
    await b.send(bytes(4), a.address);
    assertEquals(await receiveCopy(a), { data: bytes(4), from: b.address });
    closeAll(a, b);
  });

  Deno.test(`DatagramSocket (${kind}) carries nothing at all and 65,507 bytes, not more`, async () => {
    const [a, b] = await openTwo(make());
    await a.send(bytes(), b.address);
    assertEquals((await b.receive())?.data.length, 0);
    await a.send(new Uint8Array(65_507).fill(7), b.address);
    const largest = await receiveCopy(b);
    assertEquals(largest.data, new Uint8Array(65_507).fill(7));
    const error = await assertRejects(
      () => a.send(new Uint8Array(65_508), b.address),
      InvalidPacketError,
      "length 65508 exceeds 65507",
    );
    assertEquals(error.code, "too-large");
    closeAll(a, b);
  });

  Deno.test(`DatagramSocket (${kind}) ends a waiting receive when it is closed`, async () => {
    const [a, b] = await openTwo(make());
    const receiving = a.receive();
    closeAll(a, a, b);
    assertEquals(await receiving, undefined);
    assertEquals(await a.receive(), undefined);
    await assertRejects(() => a.send(bytes(1), b.address), ClosedError);
  });

  Deno.test(`DatagramSocket (${kind}) takes one receive at a time`, async () => {
    const [a, b] = await openTwo(make());
    const receiving = a.receive();
    await assertRejects(() => a.receive(), TypeError, "another receive");
    await b.send(bytes(1), a.address);
    assertEquals((await receiving)?.data, bytes(1));
    closeAll(a, b);
  });

  Deno.test(`DatagramSocket (${kind}) rejects a taken port and what is no port`, async () => {
    const open = make();
    const a = await open({ hostname: LOOPBACK });
    const { port } = a.address;
    await assertRejects(() => open({ hostname: LOOPBACK, port }), TransportError, `:${port}`);
    await assertRejects(() => open({ hostname: LOOPBACK, port: -1 }), RangeError, "-1");
    await assertRejects(() => open({ hostname: "192.0.2.77" }), TransportError, "192.0.2.77");
    a.close();
  });

  Deno.test(`DatagramSocket (${kind}) goes on after a packet to a closed port`, async () => {
    const [a, b] = await openTwo(make());
    const gone = b.address;
    b.close();
    await a.send(bytes(1), gone);
    await a.send(bytes(1), gone);
    const receiving = a.receive();
    await a.send(bytes(2), a.address);
    assertEquals((await receiving)?.data, bytes(2));
    a.close();
  });

  Deno.test(`DatagramSocket (${kind}) shares a port, and every member hears its group`, async () => {
    const open = make();
    const groups = [{ group: GROUP, interfaceAddress: LOOPBACK }];
    const first = await open({ shared: true, groups });
    const { port } = first.address;
    const second = await open({ port, shared: true, groups });
    const sender = await open({ hostname: LOOPBACK });
    assertEquals([...first.joinErrors, ...second.joinErrors], []);
    await sender.send(bytes(5), { hostname: GROUP, port });
    assertEquals(await receiveCopy(first), { data: bytes(5), from: sender.address });
    assertEquals(await receiveCopy(second), { data: bytes(5), from: sender.address });
    closeAll(first, second, sender);
  });
}

for (const [kind, open] of Object.entries(REAL_KINDS)) {
  Deno.test(`DatagramSocket (${kind}) opens though a group cannot be joined, and says which`, async () => {
    const socket = await open({
      groups: [
        { group: GROUP, interfaceAddress: "192.0.2.77" },
        { group: GROUP, interfaceAddress: LOOPBACK },
        { group: "ff02::1:6", interfaceIndex: 987_654 },
      ],
    });
    assertEquals(socket.joinErrors.map(({ details }) => details), [
      { group: GROUP, interfaceAddress: "192.0.2.77" },
      { group: "ff02::1:6", interfaceIndex: 987_654 },
    ]);
    const [first] = socket.joinErrors;
    assert(first?.message.startsWith(`Cannot join multicast group ${GROUP} on 192.0.2.77: `));
    const sender = await open({ hostname: LOOPBACK });
    await sender.send(bytes(1), { hostname: GROUP, port: socket.address.port });
    assertEquals((await socket.receive())?.data, bytes(1));
    closeAll(socket, sender);
  });

  Deno.test(`DatagramSocket (${kind}) speaks IPv6`, async () => {
    const [a, b] = await openTwo(open, "::1");
    await a.send(bytes(6), b.address);
    assertEquals(await receiveCopy(b), { data: bytes(6), from: a.address });
    assertEquals(a.address.hostname, "::1");
    closeAll(a, b);
  });

  Deno.test(`DatagramSocket (${kind}) says where a packet could not go`, async () => {
    const socket = await open({ hostname: LOOPBACK });
    const to = { hostname: "::1", port: 9 };
    await assertRejects(
      () => socket.send(bytes(1), to),
      TransportError,
      "Cannot send to [::1]:9: ",
    );
    socket.close();
  });
}

Deno.test("DatagramSocket (udp) receives into one buffer", async () => {
  const [a, b] = await openTwo(openDatagram);
  await a.send(bytes(1), b.address);
  const first = await b.receive();
  await a.send(bytes(2, 2), b.address);
  const second = await b.receive();
  assertStrictEquals(first?.data.buffer, second?.data.buffer);
  closeAll(a, b);
});

Deno.test("DatagramSocket (udp) does not grow over 100,000 packets", async () => {
  const [a, b] = await openTwo(openDatagram);
  const packet = new Uint8Array(512);
  const passOn = async (packets: number) => {
    // As many at a time as surely fit the kernel's buffer.
    for (let sent = 0; sent < packets; sent += 50) {
      for (let at = 0; at < 50; at++) await a.send(packet, b.address);
      for (let at = 0; at < 50; at++) await b.receive();
    }
  };
  await passOn(5_000);
  const before = Deno.memoryUsage().external;
  await passOn(100_000);
  const grownBytes = Deno.memoryUsage().external - before;
  assert(grownBytes < 1024 * 1024, `external memory grew by ${grownBytes} bytes`);
  closeAll(a, b);
});

Deno.test("DatagramSocket (node:dgram) drops the oldest when nobody receives, and counts", async () => {
  const [a, b] = await openTwo(openNodeDatagram);
  for (let sent = 0; b.dropped === 0; sent++) {
    await a.send(bytes(sent & 255, sent >> 8), b.address);
    await nextTurn();
  }
  const { data } = await receiveCopy(b);
  assertNotEquals(data, bytes(0, 0));
  closeAll(a, b);
});

Deno.test("DatagramSocket (node:dgram) settles a send that its close overtakes", async () => {
  const [a, b] = await openTwo(openNodeDatagram);
  const sending = assertRejects(() => a.send(bytes(1), b.address), ClosedError);
  closeAll(a, b);
  await sending;
});

Deno.test("openDatagram works without --unstable-net", async () => {
  const output = await runProgram(
    `
    import { openDatagram } from ${
      JSON.stringify(import.meta.resolve("../../src/transport/mod.ts"))
    };
    const a = await openDatagram({ hostname: "127.0.0.1" });
    const b = await openDatagram({ hostname: "127.0.0.1" });
    await a.send(new Uint8Array([7]), b.address);
    const { data, from } = await b.receive();
    console.log(typeof Deno.listenDatagram, data[0], from.port === a.address.port);
    a.close();
    b.close();
  `,
    ["--allow-net=127.0.0.1"],
  );
  assertEquals(output, "undefined 7 true\n");
});

Deno.test("openDatagram names the flag where there is no UDP at all", async () => {
  const withoutDgram = {
    imports: { "node:dgram": "data:text/javascript,throw new Error('none')" },
  };
  const output = await runProgram(
    `
    import { openDatagram } from ${
      JSON.stringify(import.meta.resolve("../../src/transport/mod.ts"))
    };
    await openDatagram({ hostname: "127.0.0.1" }).catch((error) => {
      console.log(error.name, error.code, error.message);
    });
  `,
    ["--allow-net", `--import-map=data:application/json,${JSON.stringify(withoutDgram)}`],
  );
  assert(output.startsWith(`${UnsupportedError.name} unsupported This runtime has no UDP`), output);
  assert(output.includes("--unstable-net"), output);
});

async function openTwo(open: Open, hostname = LOOPBACK): Promise<[DatagramSocket, DatagramSocket]> {
  return [await open({ hostname }), await open({ hostname })];
}

function closeAll(...sockets: DatagramSocket[]): void {
  for (const socket of sockets) socket.close();
}

async function receiveCopy(socket: DatagramSocket) {
  const datagram = await socket.receive();
  if (datagram === undefined) throw new Error("The socket closed");
  return { data: Uint8Array.from(datagram.data), from: datagram.from };
}

// Lets the event loop take what has arrived.
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

async function runProgram(program: string, flags: string[]): Promise<string> {
  const url = `data:text/javascript,${encodeURIComponent(program)}`;
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--no-prompt", "--no-check", ...flags, url],
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
