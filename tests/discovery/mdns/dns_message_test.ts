import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { MAX_DNS_BYTES } from "../../../src/discovery/mdns/dns_format.ts";
import { decodeDnsMessage, encodeDnsMessage } from "../../../src/discovery/mdns/dns_message.ts";
import {
  type DnsMessage,
  type DnsRecord,
  nameKey,
  recordKey,
} from "../../../src/discovery/mdns/dns_record.ts";
import { InvalidPacketError } from "../../../src/errors.ts";
import { Generator } from "../../fuzz/generate.ts";

const SERVICE = ["_kith", "_tcp", "local"];
const INSTANCE = ["a.b", ...SERVICE];
const HOST = ["a", "local"];

const EMPTY: DnsMessage = {
  id: 0,
  response: false,
  truncated: false,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
};

const RESPONSE: DnsMessage = {
  ...EMPTY,
  response: true,
  answers: [{ type: "PTR", name: SERVICE, target: INSTANCE, ttlS: 600, flush: false }],
  additionals: [
    {
      type: "SRV",
      name: INSTANCE,
      priority: 0,
      weight: 0,
      port: 3485,
      target: HOST,
      ttlS: 120,
      flush: true,
    },
    { type: "TXT", name: INSTANCE, strings: ["v=1"], ttlS: 600, flush: true },
    { type: "A", name: HOST, address: "192.168.1.7", ttlS: 120, flush: true },
    { type: "AAAA", name: HOST, address: "fe80::1", ttlS: 120, flush: true },
  ],
};

// By hand, from RFC 1035 section 4 and RFC 6762 section 18.
const RESPONSE_BYTES = Uint8Array.fromHex(
  [
    "0000 8400 0000 0001 0000 0004",
    "05 5f6b697468 04 5f746370 05 6c6f63616c 00", // 12: _kith, 18: _tcp, 23: local
    "000c 0001 00000258 0006",
    "03 612e62 c00c", // 40: a.b
    "c028 0021 8001 00000078 000a", // SRV
    "0000 0000 0d9d 01 61 c017", // 64: a
    "c028 0010 8001 00000258 0004 03 763d31", // TXT
    "c040 0001 8001 00000078 0004 c0a80107", // A
    "c040 001c 8001 00000078 0010 fe80000000000000 0000000000000001", // AAAA
  ].join("").replaceAll(" ", ""),
);

const QUERY_BYTES = Uint8Array.fromHex(
  "0007 0200 0002 0000 0000 0000 015f00 000c 8001 c00c 00ff 0001".replaceAll(" ", ""),
);

Deno.test("encodeDnsMessage writes the bytes of the specification, names that end alike once", () => {
  assertEquals(encodeDnsMessage(RESPONSE).toHex(), RESPONSE_BYTES.toHex());
});

Deno.test("decodeDnsMessage reads what is written", () => {
  assertEquals(decodeDnsMessage(RESPONSE_BYTES), RESPONSE);
});

Deno.test("decodeDnsMessage reads questions, their wish for unicast, and whether more follows", () => {
  const query: DnsMessage = {
    ...EMPTY,
    id: 7,
    truncated: true,
    questions: [
      { name: ["_"], type: "PTR", unicast: true },
      { name: ["_"], type: "ANY", unicast: false },
    ],
  };
  assertEquals(decodeDnsMessage(QUERY_BYTES), query);
  assertEquals(encodeDnsMessage(query).toHex(), QUERY_BYTES.toHex());
});

Deno.test("decodeDnsMessage leaves out what it does not know", () => {
  const bytes = message({ questions: 2, answers: 4 }, [
    "00 0005 0001", // a type
    "00 000c 0003", // a class
    "00 002f 8001 00000078 0003 000102", // NSEC
    "00 0001 0003 00000078 0002 0102", // an A record of another class, with data of its own
    "00 00ff 0001 00000078 0000", // a record of "any" type
    "00 0010 0001 00000078 0007 00 01ff 03763d31", // TXT: empty, not UTF-8, "v=1"
  ]);
  assertEquals(decodeDnsMessage(bytes), {
    ...EMPTY,
    answers: [{ type: "TXT", name: [], strings: ["v=1"], ttlS: 120, flush: false }],
  });
});

Deno.test("decodeDnsMessage refuses a message cut anywhere", () => {
  for (const whole of [RESPONSE_BYTES, QUERY_BYTES]) {
    for (let length = 0; length < whole.length; length++) {
      const error = assertThrows(() => decodeDnsMessage(whole.subarray(0, length)));
      assertInstanceOf(error, InvalidPacketError, `cut to ${length}`);
    }
  }
});

Deno.test("decodeDnsMessage refuses what is too long, before it reads it", () => {
  const error = assertThrows(() => decodeDnsMessage(new Uint8Array(MAX_DNS_BYTES + 1)));
  assertInstanceOf(error, InvalidPacketError);
  assertEquals(error.code, "too-large");
  assertEquals(error.message, "Cannot decode DNS message: length 9001 exceeds MAX_DNS_BYTES 9000");
});

Deno.test("decodeDnsMessage believes no count that the bytes cannot hold", () => {
  for (const section of ["questions", "answers", "authorities", "additionals"]) {
    const bytes = message({ [section]: 65_535 }, ["00 000c 0001 00000078 0000"]);
    assertStartsWith(refusal(bytes), "Cannot decode DNS message: ");
    assert(refusal(bytes).includes("entries need"), refusal(bytes));
  }
});

Deno.test("decodeDnsMessage follows pointers backwards only", () => {
  const cases = {
    "to itself": "c00c 000c 0001",
    "forwards": "c00e 000c 0001",
    "into the header": "c000 000c 0001",
    "out of the message": "ffff 000c 0001",
    "back and forth": "01 61 c00c 000c 0001",
  };
  for (const [what, bytes] of Object.entries(cases)) {
    const text = refusal(message({ questions: 1 }, [bytes]));
    assert(text.includes("leads to no name before it"), `${what}: ${text}`);
  }
});

Deno.test("decodeDnsMessage follows a bounded number of pointers, and reads names of a bounded length", () => {
  // A record's data is a chain of pointers, each to the one before; the next record's name is the last of them.
  const chain = (length: number) => {
    const at = (i: number) => pointerTo(i === 0 ? 12 : 21 + 2 * i);
    const pointers = Array.from({ length }, (_, i) => at(i)).join("");
    const bytes = (2 * length).toString(16).padStart(4, "0");
    const data = ["00 0063 0001 00000078", bytes, pointers];
    return message({ answers: 2 }, [...data, at(length), "0001 0001 00000078 0004 7f000001"]);
  };
  assertEquals(decodeDnsMessage(chain(127)).answers.length, 1);
  assert(refusal(chain(128)).includes("name has over 128 pointers"));
  const label = "3f" + "61".repeat(63);
  const longest = label.repeat(3) + "3d" + "61".repeat(61) + "00";
  assertEquals(longest.length / 2, 255);
  assertEquals(
    decodeDnsMessage(message({ questions: 1 }, [longest, "000c0001"])).questions.length,
    1,
  );
  const longer = refusal(message({ questions: 1 }, [label.repeat(4) + "00", "000c0001"]));
  assertEquals(
    longer,
    "Cannot decode DNS message: name exceeds MAX_DNS_NAME_BYTES 255 at offset 12",
  );
});

Deno.test("decodeDnsMessage names what makes no sense", () => {
  const cases: [text: string, bytes: Uint8Array][] = [
    ["flags 30720 are none of multicast DNS at offset 2", withFlags(0x7800)],
    ["flags 3 are none of multicast DNS at offset 2", withFlags(3)],
    ["label type 1 is unknown at offset 12", message({ questions: 1 }, ["41 00 000c 0001"])],
    ["label is not UTF-8 at offset 13", message({ questions: 1 }, ["01 ff 00 000c 0001"])],
    [
      "A data of 5 bytes ends after 4 at offset 23",
      message({ answers: 1 }, ["00 0001 0001 00000078 0005 0102030405"]),
    ],
    [
      "TXT data of 2 bytes ends after 3 at offset 23",
      message({ answers: 1 }, ["00 0010 0001 00000078 0002 02 6162"]),
    ],
  ];
  for (const [text, bytes] of cases) {
    assertEquals(refusal(bytes), `Cannot decode DNS message: ${text}`);
  }
});

Deno.test("decodeDnsMessage survives any single flipped bit and any garbage, quickly", () => {
  const startMs = performance.now();
  for (let bit = 0; bit < RESPONSE_BYTES.length * 8; bit++) {
    const bytes = RESPONSE_BYTES.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assertRefusedOrRead(bytes);
  }
  const generator = new Generator(6762);
  for (let i = 0; i < 3_000; i++) {
    const bytes = generator.bytes(generator.below(120));
    bytes.set(
      [0, 0, 0, 0, 0, generator.below(3), 0, generator.below(3), 0, 0, 0, 0].slice(0, bytes.length),
    );
    assertRefusedOrRead(bytes);
  }
  assert(performance.now() - startMs < 2_000, "it took too long");
});

Deno.test("what decodeDnsMessage reads can be written, and reads the same", () => {
  const generator = new Generator(6763);
  for (let i = 0; i < 200; i++) {
    const answers: DnsRecord[] = Array.from({ length: generator.below(5) }, () => ({
      type: "AAAA",
      name: Array.from(
        { length: generator.below(4) },
        () => generator.pick(["a", "é.x", '\\"', "B"]),
      ),
      address: new URL(`http://[${generator.bytes(16).toHex().match(/.{4}/g)?.join(":")}]`)
        .hostname.slice(1, -1),
      ttlS: generator.below(2 ** 32),
      flush: generator.below(2) === 0,
    }));
    const written = { ...EMPTY, id: generator.below(65_536), answers };
    assertEquals(decodeDnsMessage(encodeDnsMessage(written)), written);
  }
});

Deno.test("encodeDnsMessage refuses what has no place in a message", () => {
  const question = (
    ...name: string[]
  ) => ({ questions: [{ name, type: "PTR", unicast: false }] } as const);
  const record = (data: Partial<DnsRecord>) => ({
    answers: [
      { type: "A", name: [], address: "1.2.3.4", ttlS: 0, flush: false, ...data } as DnsRecord,
    ],
  });
  for (
    const wrong of [
      question(""),
      question("a".repeat(64)),
      question(...Array<string>(128).fill("a")),
      record({ address: "1.2.3" }),
      record({ address: "1.2.3.256" }),
      record({ type: "AAAA", address: "fe80::1%eth0" }),
      record({ type: "AAAA", address: "1:2:3:4:5:6:7:8:9" }),
      record({ type: "AAAA", address: "1::2::3" }),
      record({ type: "TXT", strings: ["a".repeat(256)] }),
      record({ ttlS: -1 }),
      record({ ttlS: 2 ** 32 }),
      { id: 65_536 },
      { answers: Array.from({ length: 600 }, () => record({}).answers).flat() },
    ]
  ) {
    assertThrows(() => encodeDnsMessage(wrong), RangeError);
  }
});

Deno.test("recordKey is the same for records that say the same", () => {
  const [ptr] = RESPONSE.answers;
  assert(ptr?.type === "PTR");
  const same = { ...ptr, name: ["_KITH", "_tcp", "local"], ttlS: 1, flush: true };
  assertEquals(recordKey(same), recordKey(ptr));
  assert(recordKey({ ...ptr, target: SERVICE }) !== recordKey(ptr));
  assert(nameKey(["a.b"]) !== nameKey(["a", "b"]));
});

function assertRefusedOrRead(bytes: Uint8Array): void {
  try {
    decodeDnsMessage(bytes);
  } catch (error) {
    assertInstanceOf(error, InvalidPacketError, bytes.toHex());
  }
}

function assertStartsWith(text: string, start: string): void {
  assertEquals(text.slice(0, start.length), start);
}

function refusal(bytes: Uint8Array): string {
  return assertThrows(() => decodeDnsMessage(bytes), InvalidPacketError).message;
}

function pointerTo(offset: number): string {
  return (0xc000 + offset).toString(16);
}

function withFlags(flags: number): Uint8Array {
  const bytes = message({}, []);
  bytes.set([flags >> 8, flags & 0xff], 2);
  return bytes;
}

/** A message with these counts, then these bytes in hexadecimal. */
function message(counts: Record<string, number>, parts: readonly string[]): Uint8Array {
  const { questions = 0, answers = 0, authorities = 0, additionals = 0 } = counts;
  const header = [0, 0, questions, answers, authorities, additionals].map((count) =>
    count.toString(16).padStart(4, "0")
  );
  return Uint8Array.fromHex([...header, ...parts].join("").replaceAll(" ", ""));
}
