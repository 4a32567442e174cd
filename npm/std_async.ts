// The part of @std/async that kith uses, for machines that reach npm but not JSR.
// @ts-types="./std_async.d.ts"
export { deadline } from "npm:deno-std@1.3.4/async/deadline.js";
