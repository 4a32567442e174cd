/**
 * The version, in the one place that the code has it from.
 *
 * @module
 */

/** The version of this software; that of `deno.json`, as a test checks. */
export const VERSION = "0.1.0";
