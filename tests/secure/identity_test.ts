import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash, createPublicKey, generateKeyPairSync, verify as rawVerify } from "node:crypto";
import { AuthError, InvalidPacketError, PeerError } from "../../src/errors.ts";
import { fingerprintOf, Identity, peerIdOf, proquints, verify } from "../../src/secure/identity.ts";
import { Home } from "../../src/state/home.ts";

const hex = (text: string) => Uint8Array.fromHex(text);
const bytes = (text: string) => new TextEncoder().encode(text);

// RFC 8032, section 7.1, tests 1 and 3.
const RFC_8032 = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
      "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
      "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
];

function inHome(run: (home: Home) => void): void {
  const dir = Deno.makeTempDirSync();
  try {
    run(Home.open(dir));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

function pemOfSeed(seed: string): Uint8Array {
  const der = hex("302e020100300506032b657004220420" + seed);
  return bytes(`-----BEGIN PRIVATE KEY-----\n${der.toBase64()}\n-----END PRIVATE KEY-----\n`);
}

Deno.test("Identity signs as RFC 8032 says, from a PKCS#8 file", () => {
  for (const { seed, publicKey, message, signature } of RFC_8032) {
    inHome((home) => {
      home.writeAtomic("identity.pem", pemOfSeed(seed));
      const identity = Identity.load(home);
      assertEquals(identity.publicKey.toHex(), publicKey);
      assertEquals(identity.sign(hex(message)).toHex(), signature);
      assert(verify(hex(publicKey), hex(message), hex(signature)));
    });
  }
});

Deno.test("Identity derives its id and words from the hash of the public key", () => {
  const identity = Identity.generate();
  const hash = createHash("sha256").update(identity.publicKey).digest();
  assertEquals(identity.publicKey.length, 32);
  assertEquals(identity.peerId, hash.toString("hex").slice(0, 40));
  assertEquals(identity.id, new Uint8Array(hash.subarray(0, 20)));
  assertEquals(identity.fingerprint, proquints(hash.subarray(0, 10)));
  assertEquals(peerIdOf(identity.publicKey), identity.peerId);
  assertEquals(fingerprintOf(identity.publicKey), identity.fingerprint);
  assert(/^([a-z]{5}-){4}[a-z]{5}$/.test(identity.fingerprint), identity.fingerprint);
  assertNotEquals(Identity.generate().peerId, identity.peerId);
});

Deno.test("peerIdOf and fingerprintOf give the golden values of a known key", () => {
  const key = hex(RFC_8032[0]?.publicKey ?? "");
  assertEquals(peerIdOf(key), "21fe31dfa154a261626bf854046fd2271b7bed4b");
  assertEquals(fingerprintOf(key), "faluv-galiz-pajih-panod-kanor");
});

Deno.test("proquints are those of the proposal", () => {
  const golden: Record<string, string> = {
    "127.0.0.1": "lusab-babad",
    "63.84.220.193": "gutih-tugad",
    "63.118.7.35": "gutuk-bisog",
    "140.98.193.141": "mudof-sakat",
    "64.255.6.200": "haguz-biram",
    "128.30.52.45": "mabiv-gibot",
    "147.67.119.2": "natag-lisaf",
    "212.58.253.68": "tibup-zujah",
    "216.35.68.215": "tobog-higil",
    "216.68.232.21": "todah-vobij",
    "198.81.129.136": "sinid-makam",
    "12.110.110.204": "budov-kuras",
  };
  for (const [address, words] of Object.entries(golden)) {
    assertEquals(proquints(Uint8Array.from(address.split("."), Number)), words);
  }
  assertEquals(proquints(new Uint8Array()), "");
  assertEquals(proquints(new Uint8Array([9, 0, 0, 9]).subarray(1, 3)), "babab");
  assertThrows(() => proquints(new Uint8Array(3)), RangeError, "current value is 3");
});

Deno.test("verify refuses any change of key, message or signature", () => {
  const identity = Identity.generate();
  const message = bytes("hello");
  const signature = identity.sign(message);
  const flipped = (from: Uint8Array, bit: number) =>
    from.map((byte, at) => at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte);
  assert(verify(identity.publicKey, message, signature));
  for (let bit = 0; bit < 512; bit += 7) {
    assert(!verify(identity.publicKey, message, flipped(signature, bit)), `signature bit ${bit}`);
    assert(!verify(flipped(identity.publicKey, bit % 256), message, signature), `key bit ${bit}`);
    assert(
      !verify(identity.publicKey, flipped(message, bit % 40), signature),
      `message bit ${bit}`,
    );
  }
});

Deno.test("verify answers false for lengths and keys that cannot be", () => {
  const identity = Identity.generate();
  const message = bytes("hello");
  const signature = identity.sign(message);
  for (const length of [0, 31, 33, 64]) {
    assert(!verify(new Uint8Array(length), message, signature));
  }
  for (const length of [0, 63, 65]) {
    assert(!verify(identity.publicKey, message, new Uint8Array(length)));
  }
  // No point of the curve has this y.
  assert(!verify(new Uint8Array(32).fill(2), message, signature));
});

Deno.test("verify refuses keys of small order, which anyone could sign for", () => {
  const weak = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ];
  // R is the neutral point and S is 0: the equation holds whenever the hash is a multiple of the key's order.
  const forged = new Uint8Array(64);
  forged[0] = 1;
  const messages = Array.from({ length: 64 }, (_, n) => new Uint8Array([n]));
  for (const key of weak.map(hex)) {
    // The point of the test: without the guard the forgery passes.
    assert(messages.some((message) => verifyUnguarded(key, message, forged)), key.toHex());
    for (const signBit of [0, 0x80]) {
      key[31] = (key[31] ?? 0) | signBit;
      assert(messages.every((message) => !verify(key, message, forged)), key.toHex());
    }
  }
});

function verifyUnguarded(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const der = Buffer.concat([hex("302a300506032b6570032100"), key]);
  try {
    return rawVerify(
      null,
      message,
      createPublicKey({ key: der, format: "der", type: "spki" }),
      signature,
    );
  } catch {
    return false;
  }
}

Deno.test("Identity never shows its private key", () => {
  inHome((home) => {
    const seed = RFC_8032[0]?.seed ?? "";
    home.writeAtomic("identity.pem", pemOfSeed(seed));
    const identity = Identity.load(home);
    const secrets = [seed, hex(seed).toBase64().slice(0, 40), [...hex(seed)].slice(0, 6).join(",")];
    const shown = [
      Deno.inspect(identity, { depth: 20, showHidden: true, getters: true, iterableLimit: 1000 }),
      JSON.stringify(identity),
      String(identity),
      `${Object.entries(identity)}`,
    ];
    for (const text of shown.map((text) => text.replace(/\s+/g, ""))) {
      for (const secret of secrets) assert(!text.includes(secret), text);
      assert(!/private/i.test(text), text);
    }
    assertEquals(
      Reflect.ownKeys(identity).sort(),
      ["fingerprint", "id", "peerId", "publicKey"],
    );
  });
});

Deno.test("Identity.load makes a key of mode 0600 once and then keeps it", () => {
  inHome((home) => {
    const made = Identity.load(home);
    const info = Deno.statSync(home.path("identity.pem"));
    assertEquals((info.mode ?? 0) & 0o777, 0o600);
    assertEquals(Identity.load(home).peerId, made.peerId);
    assert(verify(made.publicKey, bytes("x"), Identity.load(home).sign(bytes("x"))));
    assertEquals([...Deno.readDirSync(home.dir)].map(({ name }) => name), ["identity.pem"]);
  });
});

Deno.test({
  name: "Identity.load refuses a key file that others can read",
  ignore: Deno.build.os === "windows",
  fn: () => {
    inHome((home) => {
      Identity.load(home);
      const path = home.path("identity.pem");
      for (const mode of [0o640, 0o604, 0o660, 0o610]) {
        Deno.chmodSync(path, mode);
        const error = assertThrows(() => Identity.load(home), AuthError, `chmod 600 ${path}`);
        assertEquals(error.code, "not-allowed");
        assertEquals(error.details, { path, mode: `0${mode.toString(8)}` });
      }
      Deno.chmodSync(path, 0o400);
      Identity.load(home);
    });
  },
});

Deno.test("Identity.load leaves a file that holds no key as it is, and does not quote it", () => {
  const otherKind = generateKeyPairSync("x25519").privateKey;
  const corrupt = [
    "",
    "hunter2",
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    new TextDecoder().decode(pemOfSeed("00".repeat(31))),
    otherKind.export({ type: "pkcs8", format: "pem" }).toString(),
  ];
  for (const text of corrupt) {
    inHome((home) => {
      home.writeAtomic("identity.pem", bytes(text));
      const error = assertThrows(() => Identity.load(home), InvalidPacketError);
      assert(error.message.includes(home.path("identity.pem")) && error.message.includes("backup"));
      assert(text === "" || !Deno.inspect(error).includes(text));
      assertEquals(home.read("identity.pem"), bytes(text));
    });
  }
});

Deno.test({
  name: "Identity.load names the path where something is in its key file's place, and leaves it",
  ignore: Deno.build.os === "windows",
  fn: () => {
    const obstacles: readonly ((path: string) => void)[] = [
      (path) => Deno.symlinkSync("/nowhere/at/all", path),
      (path) => Deno.symlinkSync("identity.pem", path), // to itself
      (path) => Deno.mkdirSync(path),
    ];
    for (const place of obstacles) {
      inHome((home) => {
        const path = home.path("identity.pem");
        place(path);
        const error = assertThrows(() => Identity.load(home), PeerError, path);
        assertEquals(error.code, "unsupported");
        assertEquals([...Deno.readDirSync(home.dir)].map(({ name }) => name), ["identity.pem"]);
        assert(!Deno.lstatSync(path).isFile);
      });
    }
  },
});

Deno.test("Identity.load gives processes that start at once the same identity", async () => {
  const top = await Deno.makeTempDir();
  const dir = `${top}/home`;
  const source = `
    import { Home } from ${JSON.stringify(import.meta.resolve("../../src/state/home.ts"))};
    import { Identity } from ${JSON.stringify(import.meta.resolve("../../src/secure/identity.ts"))};
    // Ready together: each waits for the line that starts them all.
    console.log("ready");
    await Deno.stdin.read(new Uint8Array(1));
    console.log(Identity.load(Home.open(${JSON.stringify(dir)})).peerId);
  `;
  try {
    const script = `${top}/start.ts`;
    await Deno.writeTextFile(script, source);
    const children = Array.from({ length: 4 }, () =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", "--no-config", "--allow-read", "--allow-write", script],
        stdin: "piped",
        stdout: "piped",
      }).spawn());
    const lines = children.map((child) =>
      child.stdout.pipeThrough(new TextDecoderStream()).getReader()
    );
    for (const reader of lines) assertEquals((await reader.read()).value, "ready\n");
    for (const child of children) {
      const writer = child.stdin.getWriter();
      await writer.write(bytes("!"));
      await writer.close();
    }
    const ids = await Promise.all(lines.map(async (reader) => (await reader.read()).value?.trim()));
    await Promise.all(lines.map((reader) => reader.cancel()));
    assertEquals(await Promise.all(children.map(async (child) => (await child.status).code)), [
      0,
      0,
      0,
      0,
    ]);
    assertEquals(new Set(ids).size, 1);
    assertEquals(Identity.load(Home.open(dir)).peerId, ids[0] ?? "");
  } finally {
    await Deno.remove(top, { recursive: true });
  }
});
