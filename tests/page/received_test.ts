import { assertEquals } from "@std/assert";
import { IntegrityError, LimitError } from "../../src/errors.ts";
import { ReceivedTransfers } from "../../src/page/received.ts";

Deno.test("ReceivedTransfers gives each transfer an id, until it ends", () => {
  let count = 0;
  const transfers = new ReceivedTransfers(() => String(count++));
  const [bob, carol] = [{ peerId: "b" }, { peerId: "c" }];
  const received = { type: "received", path: "a/b", bytes: 5 } as const;
  assertEquals(transfers.describe({ ...received, from: bob }), {
    item_path: "a/b",
    received: 5,
    transfer_id: "0",
  });
  assertEquals(transfers.describe({ ...received, from: carol }).transfer_id, "1");
  assertEquals(transfers.describe({ ...received, from: bob, path: "c" }), {
    item_path: "c",
    received: 10,
    transfer_id: "0",
  });
  assertEquals(transfers.describe({ type: "done", from: bob }), {
    confirmation: true,
    transferId: "0",
  });
  assertEquals(transfers.describe({ ...received, from: bob }).transfer_id, "2");
  const secret = new IntegrityError("bad-hash", "Cannot write /home/ann/secret");
  const failed = transfers.describe({ type: "failed", from: carol, error: secret });
  assertEquals(failed, {
    item_path: "a/b",
    received: 5,
    transfer_id: "1",
    cancelled: true,
    error: "bad-hash",
  });
  const other = transfers.describe({ type: "failed", from: bob, error: new Error("/home/ann") });
  assertEquals(other.error, "internal");
});

Deno.test("ReceivedTransfers tells of an offer without room apart from what comes meanwhile", () => {
  let count = 0;
  const transfers = new ReceivedTransfers(() => String(count++));
  const from = { peerId: "b" };
  const received = { type: "received", path: "a", bytes: 5, from } as const;
  transfers.describe(received);
  const error = new LimitError("limit", "Not enough free space");
  const refused = transfers.describe({ type: "refused", from, error });
  assertEquals(refused, {
    item_path: "",
    received: 0,
    transfer_id: "1",
    cancelled: true,
    error: "limit",
  });
  assertEquals(transfers.describe(received), { item_path: "a", received: 10, transfer_id: "0" });
});
