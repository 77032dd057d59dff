// node-redis with its defaults; it gathers the commands of one tick by itself.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'node-redis',
  label: 'node-redis',
  package: 'redis',
  serves: ['redis'],

  load: () => require('redis'),

  async open(library, { port, lifetimeSeconds }) {
    const client = library.createClient({ socket: { host: '127.0.0.1', port } });
    client.on('error', (error) => console.error(error));
    await client.connect();
    const expiry = { EX: lifetimeSeconds };
    return {
      async get(key) {
        const text = await client.get(key);
        return text === null ? null : JSON.parse(text);
      },
      set: (key, value) => client.set(key, JSON.stringify(value), expiry),
      close: () => client.destroy(),
    };
  },
};
