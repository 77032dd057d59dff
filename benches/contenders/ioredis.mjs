// ioredis with its defaults: every command is written to the socket by itself.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export function openIoredis(library, { port, lifetimeSeconds }, options = {}) {
  const client = new library.Redis({ host: '127.0.0.1', port, ...options });
  return {
    async get(key) {
      const text = await client.get(key);
      return text === null ? null : JSON.parse(text);
    },
    set: (key, value) => client.set(key, JSON.stringify(value), 'EX', lifetimeSeconds),
    close: () => client.disconnect(),
  };
}

export default {
  id: 'ioredis',
  label: 'ioredis',
  package: 'ioredis',
  serves: ['redis'],
  load: () => require('ioredis'),
  open: (library, settings) => openIoredis(library, settings),
};
