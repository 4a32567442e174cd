/**
 * What somebody hears who speaks HTTP to the TCP port.
 *
 * @module
 */

import type { Accepted } from "./acceptor.ts";

/**
 * Answers one HTTP request with where the web port is, and closes. The request is not read to its end: what it says does
 * not matter.
 *
 * @param webPort The port, `undefined` where there is none.
 */
export async function answerHttp(
  { connection, established }: Accepted,
  webPort: number | undefined,
): Promise<void> {
  const where = webPort === undefined
    ? "This peer has no web port."
    : `HTTP and WebSocket are on port ${webPort}.`;
  const body = `This port speaks kith's own protocol. ${where}\n`;
  const head = [
    "HTTP/1.1 421 Misdirected Request",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${body.length}`,
    "Connection: close",
  ];
  try {
    await connection.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body}`));
    await connection.closeWrite();
    // What is closed with bytes unread is reset, and the answer lost.
    const waste = new Uint8Array(1024);
    for (let reads = 0; reads < 64 && await connection.read(waste) !== null; reads++);
    established(); // until here the time for a handshake runs
  } finally {
    connection.close();
  }
}
