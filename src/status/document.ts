/**
 * The status page as one file, and the policy that lets nothing but its own style and script be.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { PAGE_BODY } from "./page_html.ts";
import { PAGE_DRAWING } from "./page_drawing.ts";
import { PAGE_SCRIPT } from "./page_script.ts";
import { PAGE_SECTIONS } from "./page_sections.ts";
import { PAGE_STYLE } from "./page_style.ts";

/** A file and the Content-Security-Policy that belongs to it. */
export interface StatusDocument {
  /** The file. */
  readonly html: string;
  /** The value of the header. */
  readonly policy: string;
}

// A mark in the tab without another request; its colours fit both schemes.
const ICON = "data:image/svg+xml," + encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="none" stroke="#3f8f82" ` +
    `stroke-width="3"><path d="M9 23 16 9l7 14z"/></g><g fill="#3f8f82"><circle cx="16" cy="8" r="5"/>` +
    `<circle cx="8" cy="24" r="5"/><circle cx="24" cy="24" r="5"/></g></svg>`,
);

/** The page. */
export const STATUS_DOCUMENT: StatusDocument = composeDocument(
  PAGE_STYLE,
  // One script: its parts share their names.
  `"use strict";\n(() => {\n${PAGE_DRAWING}\n${PAGE_SECTIONS}\n${PAGE_SCRIPT}\n})();\n`,
);

/** Puts the file together; style and script are allowed by what they are. */
function composeDocument(style: string, script: string): StatusDocument {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>kith</title>
<link rel="icon" href="${ICON}">
<style>${style}</style>
</head>
<body>
${PAGE_BODY}
<script>${script}</script>
</body>
</html>
`;
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(style)}'`,
    `script-src '${hashOf(script)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // No text may ever become markup, not even by a mistake in the script.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  return { html, policy };
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
