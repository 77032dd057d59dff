// valkey-glide with its defaults, but for the request timeout: 250 ms would turn a busy machine into errors.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'valkey-glide',
  label: 'valkey-glide',
  package: '@valkey/valkey-glide',
  serves: ['redis'],

  load: () => require('@valkey/valkey-glide'),

  async open(library, { port, lifetimeSeconds }) {
    const client = await library.GlideClient.createClient({
      addresses: [{ host: '127.0.0.1', port }],
      requestTimeout: 10_000,
    });
    const options = { expiry: { type: library.TimeUnit.Seconds, count: lifetimeSeconds } };
    return {
      async get(key) {
        const text = await client.get(key);
        return text === null ? null : JSON.parse(text);
      },
      set: (key, value) => client.set(key, JSON.stringify(value), options),
      close: () => client.close(),
    };
  },
};
