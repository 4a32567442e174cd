// The part of @std/assert that kith uses, for machines that reach npm but not JSR.
// @ts-types="./std_assert.d.ts"
export * from "npm:deno-std@1.3.4/assert/mod.js";
