// Chromium, and somebody in front of it. Whatever a page complains about is a
// failure of the test.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// What a browser notes where a page was answered with such a status, on purpose.
const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d/;

// Its profile is a fresh folder, removed at its end.
export function launch() {
  return chromium.launch({ executablePath: process.env.TK_CHROMIUM, args: FLAGS });
}

export class Visitor {
  static async of(browser, server, { width = 1280, scheme = 'light', scripts = true, token = server.token } = {}) {
    const visitor = new Visitor();
    visitor.server = server;
    visitor.complaints = [];
    visitor.context = await browser.newContext({
      viewport: { width, height: 800 },
      colorScheme: scheme,
      javaScriptEnabled: scripts,
      reducedMotion: 'reduce',
      permissions: scripts ? ['clipboard-read', 'clipboard-write'] : [],
      baseURL: server.base,
    });
    visitor.context.setDefaultTimeout(20_000);
    const { complaints } = visitor;
    // Nothing comes from anywhere else.
    await visitor.context.route((url) => url.origin !== server.base, (route) => {
      complaints.push(`asked for ${route.request().url()}`);
      return route.abort();
    });
    const page = await visitor.context.newPage();
    visitor.page = page;
    page.on('pageerror', (error) => complaints.push(`script: ${error.message}`));
    page.on('console', (message) => {
      const text = message.text();
      if (['error', 'warning'].includes(message.type()) && !REFUSED.test(text)) complaints.push(text);
    });
    if (token) await visitor.signIn(token);
    return visitor;
  }

  async signIn(token) {
    await this.page.goto('/sign-in');
    await this.page.getByLabel('Admin token').fill(token);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.page.waitForURL((url) => url.pathname !== '/sign-in');
  }

  async go(path) {
    await this.page.goto(path);
  }

  heading() {
    return this.page.getByRole('heading', { level: 1 }).innerText();
  }

  // Presses a button by its name; where it leads to another page, all of that
  // is there then.
  async press(name) {
    await this.page.getByRole('button', { name, exact: true }).click();
    await this.page.waitForLoadState();
  }

  async follow(name) {
    await this.page.getByRole('link', { name, exact: true }).first().click();
    await this.page.waitForLoadState();
  }

  // Fills in fields by their labels.
  async fill(fields) {
    for (const [label, value] of Object.entries(fields)) {
      await this.page.getByLabel(label, { exact: true }).fill(value);
    }
  }

  // Waits until what has this id has the focus. A page is there before that: what
  // has `autofocus` gets it only when the page is next drawn.
  async focused(id) {
    try {
      await this.page.waitForFunction((id) => document.activeElement?.id === id, id);
    } catch (error) {
      throw new Error(`#${id} does not get the focus`, { cause: error });
    }
  }

  // What the form on the page says is wrong, and that each of it is tied to its
  // field; the focus is at the summary.
  async faults() {
    const summary = this.page.locator('#faults');
    await this.focused('faults');
    const links = summary.getByRole('link');
    for (const link of await links.all()) {
      const id = (await link.getAttribute('href')).slice(1);
      const field = this.page.locator(`[id="${id}"]`);
      assert.equal(await field.count(), 1, `no field ${id}`);
      if (await field.getAttribute('type') === 'radio') continue;
      assert.equal(await field.getAttribute('aria-invalid'), 'true', id);
      const described = (await field.getAttribute('aria-describedby')).split(' ');
      assert.ok(described.includes(`${id}-fault`), `${id} is not described by its fault`);
      assert.equal(await this.page.locator(`[id="${id}-fault"]`).count(), 1, id);
    }
    return links.allInnerTexts();
  }

  // Axe finds nothing, and nothing stands out of the page.
  async looksRight(what) {
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    const violations = found.violations.map((violation) =>
      `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.html).join(' | ')}`);
    assert.deepEqual(violations, [], what);
    const over = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${what} is ${over} pixels too wide`);
  }

  // Makes a key by the form; its value.
  async key(fields = {}) {
    await this.go('/keys/new');
    await this.fill({ Project: 'shop', ...fields });
    await this.press('Generate key');
    return this.page.locator('#value').inputValue();
  }

  async leave() {
    await this.context.close();
    assert.deepEqual(this.complaints, []);
  }
}

// The public part of a key.
export const idOf = (key) => key.slice(-48, -38);
