// deno-lint-ignore-file no-console -- its output is how it tells what it sees

// Looks at a status page as a person would, in a browser without a window, and prints a line of JSON for each thing seen.
// Run by Node, for which the library that drives browsers is made. Arguments: where that is, the browser, the URL, a folder
// for pictures, the name of a peer that has to appear.
import process from "node:process";

const [, , library, executablePath, url, folder, name] = process.argv;
const { chromium } = await import(library);
const PATIENCE = { timeout: 20_000 };

const browser = await chromium.launch({
  executablePath,
  // Root has no sandbox to start; the page is our own, and nothing else is loaded.
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
try {
  const page = await browser.newPage({
    colorScheme: "light",
    viewport: { width: 1280, height: 900 },
  });
  const complaints = [];
  page.on("console", (message) => {
    // Once the peer has gone the browser says that it cannot connect.
    if (message.type() === "error" && !/ERR_CONNECTION_REFUSED|WebSocket/.test(message.text())) {
      complaints.push(message.text());
    }
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  await page.locator("#peers tr", { hasText: name }).waitFor(PATIENCE);
  await page.locator("#topic-picture .edge").waitFor({ ...PATIENCE, state: "attached" });
  await page.locator("#live.on").waitFor(PATIENCE);
  const looks = {};
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${folder}/${colorScheme}.png`, fullPage: true });
    looks[colorScheme] = await page.evaluate(() => {
      const { backgroundColor, color } = getComputedStyle(document.body);
      return [backgroundColor, color];
    });
  }
  await page.locator("#counters-details summary").click();
  await page.locator("#counters li").first().waitFor(PATIENCE);
  await page.setViewportSize({ width: 390, height: 800 });
  const facts = await page.evaluate(() => ({
    title: document.title,
    heading: document.querySelector("h1").textContent,
    names: [...document.querySelectorAll("#peers td.name span")].map((one) => one.textContent),
    states: [...document.querySelectorAll("#peers .state")].map((one) => one.textContent),
    labels: [...document.querySelectorAll("#topic-picture text.label")].map((one) =>
      one.textContent
    ),
    images: document.images.length,
    overflow: document.documentElement.scrollWidth - innerWidth,
  }));
  console.log(JSON.stringify({ seen: facts, looks, requests, complaints }));
  await page.locator("#live.lost").waitFor(PATIENCE);
  const text = await page.locator("#live-text").textContent();
  console.log(
    JSON.stringify({ lost: text, isStale: await page.locator("body.stale").count() === 1 }),
  );
  await page.locator("#live.on").waitFor(PATIENCE);
  console.log(JSON.stringify({ back: await page.locator("body.stale").count() === 0, complaints }));
} catch (error) {
  console.log(JSON.stringify({ failed: String(error) }));
  process.exitCode = 1;
} finally {
  await browser.close();
}
