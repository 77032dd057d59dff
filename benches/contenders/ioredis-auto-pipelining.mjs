// ioredis with `enableAutoPipelining`: the commands of one tick travel together.
import ioredis, { openIoredis } from './ioredis.mjs';

export default {
  ...ioredis,
  id: 'ioredis-auto-pipelining',
  label: 'ioredis, auto-pipelining',
  // Loading and memory are those of ioredis itself.
  coldStartIsThatOf: 'ioredis',
  open: (library, settings) => openIoredis(library, settings, { enableAutoPipelining: true }),
};
