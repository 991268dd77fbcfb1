// A server of the program under test, with a store of its own, on ports that
// the kernel gives. It ends with the test that started it.

import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PROGRAM = process.env.TK_PROGRAM;
if (!PROGRAM) throw new Error('TK_PROGRAM names no program: run `cargo xtask browser`');

// Only our own settings.
const ENVIRONMENT = { TOKENKIT_CONFIG: 'tokenkit.toml', USER: 'tests' };

export class Server {
  // Starts one; `before` may put things into the store first.
  static async start({ settings = '', name = 'tests', before = () => {} } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'tokenkit-browser-'));
    writeFileSync(join(folder, 'tokenkit.toml'), `
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
threads = 2
[store]
data_dir = "data"
[log]
format = "json"
${settings}
`);
    const server = new Server();
    server.folder = folder;
    before(server);
    server.child = spawn(PROGRAM, ['serve'], { cwd: folder, env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] });
    server.greeting = '';
    server.child.stdout.on('data', (text) => { server.greeting += text; });
    server.log = [];
    await new Promise((started, failed) => {
      createInterface({ input: server.child.stderr }).on('line', (line) => {
        server.log.push(line);
        const event = line.startsWith('{') ? JSON.parse(line) : {};
        if (event.message === 'serving') {
          server.base = `http://${event.admin}`;
          server.service = `http://${event.listen}/`;
          started();
        }
      });
      server.child.on('exit', () => failed(new Error(`the server does not start: ${server.log.join('\n')}`)));
    });
    // Beside a store that was there, nothing is greeted.
    server.token = await server.#first('tk_admin_') ?? server.run('admin', 'token', 'create', '--name', name, '--scope', 'write');
    return server;
  }

  // The first word of the greeting that begins so, which may come a moment
  // after the log's line.
  async #first(beginning) {
    const word = new RegExp(`${beginning}[0-9A-Za-z]{48}`);
    if (!this.greeting) await new Promise((done) => { this.child.stdout.once('data', done); setTimeout(done, 300); });
    return this.greeting.match(word)?.[0];
  }

  // Runs another command of the program on the same store; the secret that it
  // shows, or else all that it says.
  run(...words) {
    const said = execFileSync(PROGRAM, words, { cwd: this.folder, env: ENVIRONMENT, encoding: 'utf8' });
    return said.match(/\btk_(?:live|admin)_[0-9A-Za-z]{48}\b/)?.[0] ?? said;
  }

  // The status that the service's clients get with a key, from an address that
  // a proxy names.
  async status(key, address) {
    const headers = { 'api-key': key, ...(address && { 'x-forwarded-for': address }) };
    const answer = await fetch(this.service, { headers });
    await answer.arrayBuffer();
    return answer.status;
  }

  async stop() {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGKILL');
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
