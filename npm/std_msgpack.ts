// The part of @std/msgpack that kith uses, for machines that reach npm but not JSR.
// @ts-types="./std_msgpack.d.ts"
export * from "npm:deno-std@1.3.4/msgpack/mod.js";
