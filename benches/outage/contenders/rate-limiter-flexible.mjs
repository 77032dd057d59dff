// rate-limiter-flexible with memory as insurance, as the pages "Redis" and "Insurance Strategy" of its wiki set it
// up. It keeps counts instead of values: to get and to set is to consume a point of a key.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export default {
  id: 'rate-limiter-flexible',
  label: 'rate-limiter-flexible',
  package: 'rate-limiter-flexible',
  setUp: '`RateLimiterRedis` over ioredis with `enableOfflineQueue: false` and an `error` listener, `insuranceLimiter: RateLimiterMemory` (wiki, "Redis" and "Insurance Strategy")',
  /** A point that was consumed is kept when it is counted. */
  holds: (stored) => Number(stored) >= 1,

  async open({ port }) {
    const { Redis } = require('ioredis');
    const { RateLimiterMemory, RateLimiterRedis } = require('rate-limiter-flexible');
    const storeClient = new Redis({ host: '127.0.0.1', port, enableOfflineQueue: false });
    storeClient.on('error', () => {});
    // Nothing may be asked of it before that.
    await new Promise((resolve) => storeClient.once('ready', resolve));
    const limits = { points: 10_000, duration: 3_600 };
    const limiter = new RateLimiterRedis({ storeClient, ...limits, insuranceLimiter: new RateLimiterMemory(limits) });
    const consume = async (key) => (await limiter.consume(key)).consumedPoints > 0;
    return { get: consume, set: consume, delete: (key) => limiter.delete(key) };
  },
};
