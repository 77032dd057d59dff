// The run's own Redis: on a free port of the loopback, without persistence, ended by its process id.
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { info, infoField } from './asker.mjs';

/** `program`: the server's, by default that on the PATH. */
export async function startRedis(program = findRedisServer()) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'));
  const port = await freePort();
  const settings = { bind: '127.0.0.1', port, dir: folder, save: '', appendonly: 'no', 'protected-mode': 'yes' };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = spawn(program, options, { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  // Whatever ends this process, its server goes with it.
  const endWithUs = () => {
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', endWithUs);
  const version = await untilItAnswers(port, server);
  return {
    port,
    version,
    async stop() {
      server.kill('SIGTERM');
      await ended;
      process.removeListener('exit', endWithUs);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function findRedisServer() {
  const name = process.platform === 'win32' ? 'redis-server.exe' : 'redis-server';
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder !== '' && existsSync(join(folder, name))) return join(folder, name);
  }
  throw new Error('No redis-server on the PATH: install Redis 6.2 or newer with your package manager.');
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

async function untilItAnswers(port, server) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (server.exitCode !== null) throw new Error(`redis-server ended with code ${server.exitCode} before it answered.`);
    const text = await info(port, 'server').catch(() => '');
    const version = infoField(text, 'redis_version');
    if (version !== null) return version;
    await pause(50);
  }
  throw new Error('redis-server did not answer within ten seconds.');
}
