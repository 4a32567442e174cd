import { MemoryStorage } from "../../src/dht/storage.ts";
import { testStorage } from "./storage_contract.ts";

testStorage("MemoryStorage", () => {
  const storage = new MemoryStorage();
  return { storage, [Symbol.dispose]: () => storage[Symbol.dispose]() };
});
