import { assert, assertEquals } from "@std/assert";
import {
  AuthError,
  ClosedError,
  EXIT_STATUS,
  exitStatus,
  HandshakeError,
  IntegrityError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  PeerError,
  RemoteError,
  TimeoutError,
  TransportError,
  UnsupportedError,
} from "../src/errors.ts";

const BY_EXIT: Readonly<Record<number, readonly PeerError[]>> = {
  1: [
    new InvalidPacketError("bad-frame", ""),
    new InvalidPacketError("bad-message", ""),
    new InvalidPacketError("too-large", ""),
    new InvalidPacketError("bad-version", ""),
    new TransportError(""),
    new ClosedError(""),
    new UnsupportedError(""),
  ],
  3: [new TimeoutError("")],
  4: [
    new HandshakeError("denied", ""),
    new HandshakeError("incompatible", ""),
    new HandshakeError("strict-violation", ""),
    new HandshakeError("bad-channel", ""),
    new AuthError("not-authenticated", ""),
    new AuthError("not-allowed", ""),
    new AuthError("key-changed", ""),
    new LimitError("limit", ""),
    new LimitError("slow-consumer", ""),
    new LimitError("rate", ""),
  ],
  5: [
    new NotFoundError("no-peer", ""),
    new NotFoundError("no-endpoint", ""),
    new NotFoundError("no-key", ""),
    new NotFoundError("no-path", ""),
  ],
  6: [new IntegrityError("bad-hash", ""), new IntegrityError("bad-signature", "")],
};

Deno.test("exitStatus of every class and code is the table's, local or remote", () => {
  const codes: string[] = [];
  for (const [exit, errors] of Object.entries(BY_EXIT)) {
    for (const error of errors) {
      assertEquals(exitStatus(error), Number(exit), error.code);
      assertEquals(exitStatus(new RemoteError(error.code, "")), Number(exit));
      codes.push(error.code);
    }
  }
  assertEquals(codes.sort(), Object.keys(EXIT_STATUS).sort());
});

Deno.test("exitStatus of what is not in the table is 2, 130 or 1", () => {
  assertEquals(exitStatus(new TypeError()), 2);
  assertEquals(exitStatus(new RangeError()), 2);
  assertEquals(exitStatus(new DOMException("", "AbortError")), 130);
  assertEquals(exitStatus(new DOMException("", "TimeoutError")), 1);
  for (const other of [new Error(), "text", undefined, null]) assertEquals(exitStatus(other), 1);
  // Codes that another peer made up, of which some are names that every object has.
  for (const code of ["internal", "", "toString", "constructor", "__proto__"]) {
    assertEquals(exitStatus(new RemoteError(code, "")), 1);
  }
});

Deno.test("PeerError says which class it is, and keeps facts and cause", () => {
  for (const error of Object.values(BY_EXIT).flat()) {
    assert(error instanceof PeerError && error instanceof Error);
    assertEquals(error.name, error.constructor.name);
    assertEquals(error.details, {});
    assertEquals("cause" in error, false);
  }
  const cause = new Error("underneath");
  const error = new LimitError("limit", "Too many", { cause, details: { max: 3 } });
  assertEquals([error.code, error.message, error.cause], ["limit", "Too many", cause]);
  assertEquals(error.details, { max: 3 });
  assertEquals(`${error}`, "LimitError: Too many");
});
