import { assert, assertEquals } from "@std/assert";
import { redactAll, redactor } from "../../../src/discovery/doctor/doctor_redact.ts";

const redact = redactor({
  home: "/home/ann/.local/state/kith",
  host: "ann-laptop.lan",
  peers: ["bobs-pc", "192.168.1.9"],
});

Deno.test("redactor takes out what names the user, the machine, and peers", () => {
  const rows: readonly (readonly [text: string, shown: string])[] = [
    ["Cannot write /home/ann/.local/state/kith/key", "Cannot write <home>/key"],
    ["/home/ann/other of Ann", "/home/<user>/other of <user>"],
    ["ann-laptop.lan and ANN-LAPTOP", "<host> and <host>"],
    ["peer bobs-pc:3485", "peer <peer 1>:3485"],
    ["annex, scann, joann", "annex, scann, joann"],
    ["192.168.1.9:3485", "192.168.1.9:3485"],
  ];
  for (const [text, shown] of rows) assertEquals(redact(text), shown);
});

Deno.test("redactor takes out hardware addresses, keys and what of addresses tells machines apart", () => {
  const rows: readonly (readonly [text: string, shown: string])[] = [
    ["link 02:fc:00:ff:00:01 up", "link <mac> up"],
    ["02-FC-00-FF-00-01", "<mac>"],
    ["enx02fc00ff0001 is up", "enx<mac> is up"],
    ["key " + "0f".repeat(32), "key <hex>"],
    ["fe80::fc:ff:fe00:1%eth0", "fe80::<hidden>%eth0"],
    ["[2001:db8:1:2:fc:ff:fe00:1]:3485", "[2001::<hidden>]:3485"],
    ["8.8.4.4 and 100.128.0.1", "<public> and <public>"],
  ];
  for (const [text, shown] of rows) assertEquals(redact(text), shown);
});

Deno.test("redactor leaves what is the same everywhere", () => {
  const common = [
    "127.0.0.1 10.1.2.3 172.31.0.1 192.168.1.255 169.254.3.4 100.127.0.1 0.0.0.0",
    "multicast4 to 239.1.11.11 on eth0, broadcast to 255.255.255.255",
    "multicast6 to ff02::1:6 on lo ::1 and ::",
    "kith 0.1.0 on 6.18.44-fc, tcp port 3485",
    "see that IPv6 is on for eth0 and has a route for ff00::/8",
  ];
  for (const text of common) assertEquals(redact(text), text);
});

Deno.test("redactor without names takes out addresses all the same", () => {
  assertEquals(redactor({})("ann at 8.8.8.8"), "ann at <public>");
});

Deno.test("redactor is quick with long texts that are almost addresses", () => {
  const startMs = performance.now();
  for (const part of ["a:", "1.", "0f:", "::", "enx"]) redact(part.repeat(20_000));
  assert(performance.now() - startMs < 1_000);
});

Deno.test("redactAll goes through plain data and leaves names of fields", () => {
  const data = { ann: ["ann", { at: "8.8.8.8", port: 1, none: null }] };
  assertEquals(redactAll(data, redact), {
    ann: ["<user>", { at: "<public>", port: 1, none: null }],
  });
});
