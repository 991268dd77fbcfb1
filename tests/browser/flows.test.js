// What people do at the pages, each as they do it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Visitor, idOf } from './support/browser.js';
import { Server } from './support/server.js';

let browser;
let server;
before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start({ settings: '[failures]\nthreshold = 5\n' })]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

// Somebody at the pages for the length of a test.
function flow(name, run, options) {
  test(name, async () => {
    const visitor = await Visitor.of(browser, server, options);
    await run(visitor, visitor.page);
    await visitor.leave();
  });
}

flow('sign in leads to what was wanted, and sign out ends it', async (visitor, page) => {
  await visitor.go('/keys?state=active');
  assert.equal(new URL(page.url()).pathname, '/sign-in');
  await visitor.fill({ 'Admin token': server.token });
  await visitor.press('Sign in');
  await page.waitForURL('**/keys?state=active');
  await visitor.press('Sign out');
  assert.match(await page.getByRole('status').innerText(), /You are signed out/);
  await visitor.go('/keys');
  assert.equal(await visitor.heading(), 'Sign in');
}, { token: null });

flow('generate: the value is there once, copied, works, and is nowhere again', async (visitor, page) => {
  await visitor.go('/keys');
  await visitor.follow('Generate key');
  await visitor.fill({ Name: 'Checkout', Project: 'shop', 'Units an hour': '7', Expires: '30d' });
  await page.getByLabel('Origins', { exact: true }).fill('https://app.example.com\nhttps://*.example.org');
  await page.getByLabel('Addresses', { exact: true }).fill('127.0.0.0/8');
  await visitor.press('Generate key');
  const key = await page.locator('#value').inputValue();
  assert.match(key, /^tk_live_[0-9A-Za-z]{48}$/);
  await page.locator('button[data-copy="value"]').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  await page.locator('button[data-copy="curl"]').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `curl -H 'api-key: ${key}' ${server.service}`);
  assert.equal(await server.status(key), 200);

  // Neither another load nor the way back shows it again.
  await visitor.follow('To the key\'s page');
  assert.equal(await visitor.heading(), 'Checkout');
  assert.ok(!(await page.content()).includes(key));
  await page.goBack();
  assert.ok(!(await page.content()).includes(key), 'the way back shows the key');
  await visitor.go('/keys?q=Checkout');
  assert.equal(await page.getByRole('link', { name: 'Checkout' }).count(), 1);
  assert.match(await page.getByRole('row').nth(1).innerText(), /shop\s+active\s+1 \/ 7/);
});

flow('search and states find the right keys', async (visitor, page) => {
  for (const Name of ['Apple', 'Pear']) await visitor.key({ Name, Project: 'fruit' });
  await visitor.go('/keys');
  await visitor.fill({ 'Name or id': 'app', Project: 'fruit' });
  await page.getByLabel('State').selectOption('Active');
  await visitor.press('Search');
  const links = page.locator('tbody').getByRole('link');
  assert.deepEqual(await links.allInnerTexts(), ['Apple']);
  assert.equal(await page.getByLabel('State').inputValue(), 'active');
  await page.getByLabel('State').selectOption('Revoked');
  await visitor.press('Search');
  await page.getByText('No key is like that.').waitFor();
});

flow('change: what is stored is in force, and two people do not overwrite each other', async (visitor, page) => {
  const key = await visitor.key({ Name: 'Shared' });
  const other = await Visitor.of(browser, server);
  for (const who of [visitor, other]) await who.go(`/keys/${idOf(key)}/change`);
  await visitor.fill({ Name: 'Mine' });
  await page.getByLabel('Unlimited').check();
  await visitor.press('Store changes');
  assert.equal(await visitor.heading(), 'Mine');
  assert.match(await page.getByRole('status').innerText(), /changed, as of now/);
  await other.fill({ Name: 'Theirs' });
  await other.press('Store changes');
  const both = other.page.locator('#changed');
  assert.match(await both.innerText(), /Somebody else has changed this key/);
  assert.match(await both.innerText(), /Theirs[\s\S]*Mine/);
  assert.equal(await other.page.getByLabel('Name', { exact: true }).inputValue(), 'Theirs');
  await other.looksRight('both versions');
  await other.press('Store changes');
  assert.equal(await other.heading(), 'Theirs');
  await other.leave();
});

flow('rotate: both work for a while, and know of each other', async (visitor, page) => {
  const old = await visitor.key({ Name: 'Rotor' });
  await visitor.go(`/keys/${idOf(old)}`);
  await visitor.follow('Rotate');
  await page.getByLabel('Both work for').selectOption('7 days');
  await visitor.press('Rotate key');
  const key = await page.locator('#value').inputValue();
  assert.notEqual(key, old);
  assert.match(await page.locator('main').innerText(), /The old key, \w{10}, works until \d{4}-/);
  assert.deepEqual([await server.status(old), await server.status(key)], [200, 200]);
  await visitor.follow('To the key\'s page');
  await visitor.follow(idOf(old));
  assert.match(await page.locator('.facts').first().innerText(), new RegExp(`Replaced by\\s+${idOf(key)}`));
});

flow('disable, enable, and revoke after a question', async (visitor, page) => {
  const key = await visitor.key({ Name: 'Leaky' });
  await visitor.go(`/keys/${idOf(key)}`);
  await visitor.press('Disable');
  await page.getByText('The key is disabled, as of now.').waitFor();
  assert.equal(await server.status(key), 401);
  await visitor.press('Enable');
  await page.getByText('The key is enabled, as of now.').waitFor();
  assert.equal(await server.status(key), 200);
  await visitor.follow('Revoke');
  assert.equal(await server.status(key), 200);
  await visitor.fill({ Reason: 'in a public repository' });
  await visitor.press('Revoke for ever');
  await page.getByText('The key is revoked, for ever and as of now.').waitFor();
  assert.equal(await server.status(key), 401);
  assert.match(await page.locator('main').innerText(), /in a public repository/);
  assert.equal(await page.getByRole('link', { name: 'Change' }).count(), 0);
});

flow('usage: a chart, with its numbers', async (visitor, page) => {
  const key = await visitor.key({ Name: 'Counted' });
  for (let count = 0; count < 3; count += 1) await server.status(key);
  await visitor.go(`/keys/${idOf(key)}`);
  const chart = page.getByRole('img', { name: 'Units in each of the last 48 hours' });
  assert.match(await chart.getAttribute('aria-labelledby'), /units-desc/);
  assert.match(await page.locator('#units-desc').textContent(), /^3 units in all/);
  await page.getByText('The numbers').click();
  assert.match(await page.locator('.scroll tbody tr').first().innerText(), /\s3$/);
  await visitor.looksRight('a key with its numbers');
  await visitor.follow('30 days');
  await page.getByRole('img', { name: 'Units on each of the last 30 days' }).waitFor();
});

flow('the overview goes on by itself, and can be stopped', async (visitor, page) => {
  const key = await visitor.key({ Name: 'Busy', 'Units an hour': '1' });
  await visitor.go('/');
  assert.ok(await page.getByRole('link', { name: 'Refresh' }).isHidden());
  for (let count = 0; count < 4; count += 1) await server.status(key);
  await page.getByRole('row', { name: /Busy\s+Over the hourly limit\s+3/ }).waitFor();
  assert.match(await page.locator('#decided-desc').textContent(), /Over the limit: [1-9]/);
  await visitor.press('Pause');
  assert.equal(await page.getByRole('button', { name: 'Go on' }).getAttribute('aria-pressed'), 'true');
});

flow('projects are made and labelled', async (visitor, page) => {
  await visitor.go('/projects');
  await visitor.fill({ Name: 'web shop', Label: 'The shop' });
  await visitor.press('Make project');
  assert.equal(await visitor.heading(), 'web shop');
  await visitor.fill({ Label: 'The other shop' });
  await visitor.press('Store label');
  await page.getByText('The label is stored.').waitFor();
  await visitor.go('/projects');
  await page.getByRole('cell', { name: 'The other shop' }).waitFor();
});

flow('sessions are ended, one or all of a user', async (visitor, page) => {
  for (const user of ['ada', 'ada', 'ada', 'grace']) server.run('session', 'create', '--project', 'shop', '--user', user);
  await visitor.go('/sessions');
  await page.getByRole('button', { name: /^End session \w+ of ada$/ }).first().click();
  await page.getByText('1 session is ended, as of now.').waitFor();
  await visitor.follow('End all sessions of ada');
  await visitor.press('End all');
  await page.getByText('2 sessions are ended, as of now.').waitFor();
  await page.getByText('No session is like that.').waitFor();
});

flow('addresses are looked up, unblocked and exempted', async (visitor, page) => {
  while (await server.status('tk_live_guess') !== 429);
  await visitor.go('/blocked');
  await visitor.fill({ 'Look up an address': '127.0.0.1' });
  await visitor.press('Look up');
  await page.getByRole('button', { name: /^Unblock 127\.0\.0\.1/ }).click();
  await page.getByText('The address is no longer blocked').waitFor();
  assert.equal(await server.status('tk_live_guess'), 401);
  await visitor.fill({ 'Exempt more': '127.0.0.0/8', Note: 'this machine' });
  await visitor.press('Exempt');
  await page.getByRole('cell', { name: 'this machine' }).waitFor();
  await page.getByRole('button', { name: /^End exemption of 127/ }).click();
  await page.getByText('The exemption has ended, as of now.').waitFor();
});

flow('admin tokens are made, used and revoked; a reader changes nothing', async (visitor, page) => {
  await visitor.go('/tokens');
  await visitor.fill({ Name: 'Looker' });
  await visitor.press('Make token');
  const token = await page.locator('#value').inputValue();
  const reader = await Visitor.of(browser, server, { token });
  await reader.page.getByText('read only').waitFor();
  await reader.go('/keys');
  assert.equal(await reader.page.getByRole('link', { name: 'Generate key' }).count(), 0);
  await reader.go('/keys/new');
  assert.equal(await reader.heading(), 'Not allowed');
  await visitor.follow('To the list of tokens');
  await page.getByRole('link', { name: 'Revoke Looker' }).click();
  await visitor.press('Revoke for ever');
  await page.getByRole('row', { name: /Looker.*revoked/ }).waitFor();
  await reader.go('/keys');
  assert.equal(new URL(reader.page.url()).pathname, '/sign-in');
  assert.match(await reader.page.getByRole('status').innerText(), /sign in again/);
  await reader.leave();
});

flow('the audit log tells who did it', async (visitor, page) => {
  const key = await visitor.key({ Name: 'Traced' });
  await visitor.go('/audit');
  await visitor.fill({ 'Key or other id': idOf(key) });
  await visitor.press('Filter');
  const row = page.getByRole('row', { name: /key\.create/ });
  assert.equal(await row.count(), 1);
  assert.match(await row.innerText(), /page:\w{10}[\s\S]*name Traced/);
});
