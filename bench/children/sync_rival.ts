/**
 * A rival that runs on Node: starts `rivals/sync_ws.mjs` there, with stdin and stdout.
 *
 * @module
 */

const script = new URL("../rivals/sync_ws.mjs", import.meta.url);
const node = new Deno.Command("node", { args: [decodeURIComponent(script.pathname)] });
const { code } = await node.spawn().status;
Deno.exit(code);
