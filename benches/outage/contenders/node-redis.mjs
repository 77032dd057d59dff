// node-redis as the page "Production usage" of its documentation says: a listener for errors, a timeout for
// connecting, and its own strategy of reconnecting, which backs off with jitter.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'node-redis',
  label: 'node-redis',
  package: 'redis',
  setUp: '`createClient({ socket: { connectTimeout: 10000 } })` with an `error` listener (redis.io, Node.js, "Production usage")',

  async open({ port }) {
    const { createClient } = require('redis');
    const client = createClient({ socket: { host: '127.0.0.1', port, connectTimeout: 10_000 } });
    client.on('error', () => {});
    await client.connect();
    return {
      get: (key) => client.get(key),
      set: async (key, value) => (await client.set(key, value)) === 'OK',
      delete: (key) => client.del(key),
    };
  },
};
