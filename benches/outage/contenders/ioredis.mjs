// ioredis as its README sets it up: the defaults, and a listener for errors.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'ioredis',
  label: 'ioredis',
  package: 'ioredis',
  setUp: '`new Redis({ host, port })` with an `error` listener; its README names no other settings for production',

  async open({ port }) {
    const { Redis } = require('ioredis');
    const client = new Redis({ host: '127.0.0.1', port });
    client.on('error', () => {});
    return {
      get: (key) => client.get(key),
      set: async (key, value) => (await client.set(key, value)) === 'OK',
      delete: (key) => client.del(key),
    };
  },
};
