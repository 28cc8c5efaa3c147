// A browser for one run of the tests, and pages that report everything a user would not want to happen.

import { chromium } from 'playwright-core';

const executablePath = process.env.HEARTH_CHROMIUM ?? '/usr/bin/chromium';
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const screens = {
  desktop: { viewport: { width: 1440, height: 900 } },
  phone: { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

/** Starts Chromium with a fresh profile, which goes away with it. */
export function startBrowser() {
  return chromium.launch({ executablePath, args });
}

/** Opens `url`. Console errors, page errors and requests to other origins are added to `faults`. */
export async function openPage(browser, url, faults, options = {}) {
  const context = await browser.newContext({ ...screens.desktop, colorScheme: 'dark', ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  watch(page, new URL(url).origin, faults);
  await page.goto(url);
  return page;
}

function watch(page, origin, faults) {
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => faults.push(`page: ${error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    const isLocal = url.origin === origin || url.protocol === 'data:' || url.protocol === 'blob:';
    if (!isLocal) faults.push(`request to another origin: ${request.url()}`);
  });
}
