// A redis-server that is killed, frozen and asked how much it worked.
import { spawn } from 'node:child_process';
import { createConnection, createServer } from 'node:net';

const running = new Set();
process.once('exit', () => running.forEach((server) => server.kill()));

export class Server {
  #child;

  static async start(binary) {
    const server = new Server();
    server.port = await freePort();
    server.restart(binary);
    running.add(server);
    await server.answers();
    return server;
  }

  /** Again on the same port, empty. */
  restart(binary) {
    const args = ['--port', this.port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'].map(String);
    this.#child = spawn(binary, args, { stdio: 'ignore' });
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  freeze() {
    this.#child.kill('SIGSTOP');
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  async answers() {
    await until(async () => (await this.#ask('PING').catch(() => '')).includes('PONG'));
  }

  async cpuSeconds() {
    const info = await this.#ask('INFO cpu');
    const field = (name) => Number(new RegExp(`^${name}:([0-9.]+)`, 'm').exec(info)?.[1]);
    return field('used_cpu_user') + field('used_cpu_sys');
  }

  #ask(command) {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ host: '127.0.0.1', port: this.port });
      let said = '';
      socket.on('connect', () => socket.write(`${command}\r\nQUIT\r\n`));
      socket.on('data', (bytes) => (said += bytes));
      socket.on('end', () => resolve(said));
      socket.on('error', reject);
    });
  }
}

export async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 1));
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
