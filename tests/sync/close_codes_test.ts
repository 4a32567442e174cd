import { assert, assertEquals } from "@std/assert";
import { ClosedError, LimitError, RemoteError } from "../../src/errors.ts";
import {
  CLOSE_CODES,
  closeCodeFor,
  dataOf,
  errorCodeFor,
  isFinal,
  SyncRefusal,
} from "../../src/sync/close_codes.ts";
import { errorFromData, type SyncErrorCode } from "../../src/sync/error_codes.ts";

Deno.test("closeCodeFor gives a goodbye, an error of ours and a fault of our own their codes", () => {
  assertEquals(closeCodeFor(undefined), 1000);
  assertEquals(closeCodeFor(new SyncRefusal("UNKNOWN_ROOM", "No")), 4404);
  assertEquals(closeCodeFor(new LimitError("rate", "No")), 4429);
  assertEquals(closeCodeFor(new Error("at /home/somebody")), 4500);
  const codes = Object.values(CLOSE_CODES);
  assert(codes.every((code) => code >= 4000 && code <= 4999));
});

Deno.test("dataOf tells the exact code, and of a fault of our own nothing", () => {
  const error = new SyncRefusal("CONNECTION_LIMIT", "Full", { limit: "maxClients", max: 2 });
  assertEquals([error.code, errorCodeFor(error)], ["limit", "CONNECTION_LIMIT"]);
  assertEquals(dataOf(error), {
    error_code: "CONNECTION_LIMIT",
    message: "Full",
    details: "limit maxClients is 2",
  });
  assertEquals(dataOf(new Error("at /home/somebody")).message, "The server failed");
});

Deno.test("isFinal is for what no other attempt changes", () => {
  const told = (error_code: SyncErrorCode) => isFinal(errorFromData({ error_code, message: "" }));
  const closed = (reason: SyncErrorCode) => isFinal(new ClosedError("", { details: { reason } }));
  for (const code of ["AUTHENTICATION_FAILED", "UNKNOWN_ROOM", "VERSION_UNSUPPORTED"] as const) {
    assertEquals([told(code), closed(code), isFinal(new SyncRefusal(code, ""))], [
      true,
      true,
      true,
    ]);
  }
  for (const code of ["CONNECTION_LIMIT", "RATE_LIMITED", "CLIENT_ID_IN_USE"] as const) {
    assertEquals([told(code), closed(code)], [false, false]);
  }
  assertEquals([undefined, new Error(""), new RemoteError("denied", "")].map(isFinal), [
    false,
    false,
    false,
  ]);
});
