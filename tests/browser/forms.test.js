// Wrong input in every form: it is kept, and said what is wrong with it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Visitor, idOf } from './support/browser.js';
import { Server } from './support/server.js';

let browser;
let server;
before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start({ settings: '[failures]\nthreshold = 3\nblock_s = 60\n' })]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const LONG = 'x'.repeat(201);

function form(name, run, options) {
  test(name, async () => {
    const visitor = await Visitor.of(browser, server, options);
    await run(visitor, visitor.page);
    await visitor.leave();
  });
}

// What the faults of a form begin with.
const heads = async (visitor) => (await visitor.faults()).map((text) => text.split(':')[0]);

form('generate', async (visitor, page) => {
  await visitor.go('/keys/new');
  await visitor.fill({
    Name: LONG, Project: 'é', 'Units an hour': 'many', Expires: 'soon',
    Origins: 'https://good.example.com\nhttps://bad.example.com/path', Addresses: '10.0.0.300',
  });
  await visitor.press('Generate key');
  assert.deepEqual(await heads(visitor), ['Name', 'Project', 'Limit', 'Expiry', 'Line 2', 'Line 1']);
  assert.equal(await page.getByLabel('Expires').inputValue(), 'soon');
  assert.equal(await page.getByLabel('Origins', { exact: true }).inputValue(), 'https://good.example.com\nhttps://bad.example.com/path');
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), LONG);
  await visitor.looksRight('the form with its faults');
  // A fault's link leads to its field, and what is put right is taken.
  await page.locator('#faults').getByRole('link').nth(2).click();
  await visitor.focused('limit');
  await visitor.fill({ Name: 'Right', Project: 'shop', 'Units an hour': '5', Expires: '', Origins: '', Addresses: '' });
  await visitor.press('Generate key');
  assert.equal(await visitor.heading(), 'Your new key');
});

form('change, rotate and revoke', async (visitor, page) => {
  const at = `/keys/${idOf(await visitor.key({ Name: 'Wrong' }))}`;
  await visitor.go(`${at}/change`);
  await visitor.fill({ Project: '', 'Units an hour': '-1', Expires: '2001-01-01T00:00:00Z' });
  await visitor.press('Store changes');
  assert.deepEqual(await heads(visitor), ['Project', 'Limit', 'Expiry']);
  await visitor.looksRight('a change with its faults');
  await visitor.go(`${at}/rotate`);
  await visitor.fill({ 'The new key expires': 'never ever' });
  await visitor.press('Rotate key');
  assert.deepEqual(await heads(visitor), ['Expiry']);
  assert.equal(await page.getByLabel('The new key expires').inputValue(), 'never ever');
  await visitor.looksRight('a rotation with its faults');
  await visitor.go(`${at}/revoke`);
  await visitor.fill({ Reason: LONG });
  await visitor.press('Revoke for ever');
  assert.deepEqual(await heads(visitor), ['Reason']);
  await visitor.looksRight('a revocation with its faults');
});

form('projects, tokens, addresses', async (visitor, page) => {
  await visitor.go('/projects');
  await visitor.fill({ Label: 'kept' });
  await visitor.press('Make project');
  assert.deepEqual(await heads(visitor), ['Name']);
  assert.equal(await page.getByLabel('Label').inputValue(), 'kept');
  await visitor.fill({ Name: 'default' });
  await visitor.press('Make project');
  assert.match((await visitor.faults())[0], /there is a project of this name already/);
  await visitor.go('/projects/default');
  await visitor.fill({ Label: LONG });
  await visitor.press('Store label');
  assert.deepEqual(await heads(visitor), ['Label']);
  await visitor.go('/tokens');
  await visitor.fill({ Expires: 'soon' });
  await visitor.press('Make token');
  assert.deepEqual(await heads(visitor), ['Name', 'Expiry']);
  await visitor.looksRight('tokens with faults');
  await visitor.go('/blocked');
  await visitor.fill({ 'Exempt more': '10.0.0.0/99', Note: LONG });
  await visitor.press('Exempt');
  assert.deepEqual(await heads(visitor), ['Exempt more', 'Note']);
  await visitor.looksRight('addresses with faults');
});

form('searches', async (visitor) => {
  await visitor.go('/keys');
  await visitor.fill({ Project: 'é' });
  await visitor.press('Search');
  assert.deepEqual(await heads(visitor), ['Project']);
  await visitor.go('/sessions');
  await visitor.fill({ User: 'é' });
  await visitor.press('Search');
  assert.deepEqual(await heads(visitor), ['User']);
  await visitor.go('/blocked');
  await visitor.fill({ 'Look up an address': 'nobody' });
  await visitor.press('Look up');
  assert.deepEqual(await heads(visitor), ['Address']);
});

form('a form that is old says so', async (visitor, page) => {
  await visitor.go('/keys/new');
  await visitor.fill({ Project: 'shop' });
  await page.locator('form.sheet input[name="csrf"]').evaluate((field) => { field.value = 'old'; });
  await visitor.press('Generate key');
  assert.equal(await visitor.heading(), 'Not allowed');
  assert.match(await page.locator('main').innerText(), /load the page anew/);
  await visitor.looksRight('a refusal');
  await visitor.go('/nothing');
  assert.equal(await visitor.heading(), 'Nothing here');
  await visitor.looksRight('nothing');
});

// The last: it blocks this address at the admin door.
form('sign in: wrong tokens are told, then throttled', async (visitor, page) => {
  await visitor.go('/sign-in');
  await visitor.press('Sign in');
  assert.match(await page.getByRole('alert').innerText(), /Enter your admin token/);
  for (let count = 0; count < 3; count += 1) {
    await visitor.fill({ 'Admin token': 'guess' });
    await visitor.press('Sign in');
    assert.match(await page.getByRole('alert').innerText(), /malformed/);
    assert.equal(await page.getByLabel('Admin token').inputValue(), '');
  }
  await visitor.looksRight('a wrong token');
  await visitor.fill({ 'Admin token': server.token });
  await visitor.press('Sign in');
  assert.match(await page.getByRole('alert').innerText(), /Try again in \d+ seconds/);
}, { token: null });
