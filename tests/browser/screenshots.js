// Pictures of the pages, of a server with made-up keys and usage:
// `node screenshots.js FOLDER`, or `cargo xtask browser --screenshots`.

import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { launch, Visitor, idOf } from './support/browser.js';
import { Server } from './support/server.js';

const [folder] = process.argv.slice(2);
const MOST = 150_000;

const KEYS = [
  ['Old staging key', 'shop', 'none'],
  ['Nightly export', 'reports', '60'],
  ['Partner: Acme Ltd', 'partners', '2000'],
  ['Status page', 'reports', '600'],
  ['Mobile app (iOS)', 'shop', '20000'],
  ['Mobile app (Android)', 'shop', '20000'],
  ['Checkout service', 'shop', '5000'],
];

const made = {};
const before = (server) => {
  for (const [name, project, limit] of KEYS) {
    made[name] = server.run('key', 'create', '--project', project, '--name', name, '--limit', limit);
  }
  execFileSync(process.env.TK_MADE_UP_USAGE, ['data/tokenkit.db', 'data/tokenkit.secret'], { cwd: server.folder });
};

// Sends requests for a while, so that there is something to see.
async function load(server, seconds) {
  const weights = [['Checkout service', 40], ['Mobile app (iOS)', 30], ['Mobile app (Android)', 18], ['Nightly export', 9],
    ['Partner: Acme Ltd', 8], ['Status page', 6], ['Old staging key', 3]];
  const bag = weights.flatMap(([name, weight]) => Array(weight).fill(made[name]));
  const end = Date.now() + seconds * 1000;
  for (let count = 0; Date.now() < end; count += 1) {
    const wave = 7 + 3.5 * Math.sin(Date.now() / 5000) + 3 * Math.sin(Date.now() / 1700);
    await Promise.all(Array.from({ length: Math.ceil(wave) }, (_, at) => server.status(bag[(count * 31 + at * 17) % bag.length])));
    // Guesses, from addresses that the proxy in front would name.
    if (count % 4 === 0) await server.status('tk_live_guess', `203.0.113.${count % 5}`);
    await new Promise((done) => { setTimeout(done, 40); });
  }
}

async function shoot(browser, server, scheme) {
  const visitor = await Visitor.of(browser, server, { scheme });
  const picture = async (path, name) => {
    await visitor.go(path);
    const file = join(folder, `${name}-${scheme}.png`);
    await visitor.page.screenshot({ path: file });
    const { size } = statSync(file);
    if (size > MOST) throw new Error(`${file} has ${size} bytes: at most ${MOST} are wanted`);
    console.log(`${file}: ${size} bytes`);
  };
  await picture('/', 'overview');
  await picture('/keys', 'keys');
  await picture(`/keys/${idOf(made['Checkout service'])}`, 'key');
  await visitor.leave();
}

const [browser, server] = await Promise.all([launch(), Server.start({ before, name: 'Ada', settings: '[http]\ntrusted_proxies = ["127.0.0.1"]\n' })]);
try {
  server.run('key', 'disable', idOf(made['Old staging key']));
  for (const user of ['ada', 'grace', 'linus']) server.run('session', 'create', '--project', 'shop', '--user', user);
  await load(server, Number(process.env.TK_SECONDS ?? 300));
  for (const scheme of ['light', 'dark']) await shoot(browser, server, scheme);
} finally {
  await browser.close();
  await server.stop();
}
