import { MemoryIndex } from "../../src/sync/memory_index.ts";
import { testIndex } from "./index_contract.ts";

testIndex("MemoryIndex", () => new MemoryIndex());
