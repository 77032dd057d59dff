// What is measured: the cells that every contender runs, and the values they move.
export const KEYS = 64;
export const LIFETIME_SECONDS = 3600;
export const CONCURRENCIES = [1, 10, 100, 500];
export const SIZES = [100, 700];
export const CPU_CONCURRENCY = 100;

export const loadCells = {
  redis: [
    ...SIZES.flatMap((size) => CONCURRENCIES.map((concurrency) => ({ operation: 'get', size, concurrency }))),
    ...SIZES.flatMap((size) => [1, 100].map((concurrency) => ({ operation: 'set', size, concurrency }))),
  ],
  memory: [1, 100].map((concurrency) => ({ operation: 'get', size: 700, concurrency })),
};

/** The size of the value that a cold start asks for. */
export const COLD_SIZE = 700;

/** Keys are the contender's own, so that no one reads another's format. */
export function keysOf(contenderId, size) {
  return Array.from({ length: KEYS }, (_, index) => `bench:${contenderId}:${size}:${index}`);
}

/** An object whose JSON is exactly `size` bytes: a chat message, with numbers, a flag and text that does not repeat. */
export function valueOf(size, index) {
  const value = { id: index, role: 'assistant', tokens: 412, cached: true, text: '' };
  const room = size - JSON.stringify(value).length;
  if (room < 0) throw new Error(`A value of ${size} bytes is too small for its own fields.`);
  let seed = index * 7919 + size;
  while (value.text.length < room) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    value.text += `${WORDS[Math.floor(seed / 65536) % WORDS.length]} `;
  }
  value.text = value.text.slice(0, room);
  return value;
}

const WORDS = (
  'a the cache answers with what it was given and says where an answer came from because people ask for the reason ' +
  'when servers leave or return during long streamed conversations about models prompts tokens limits sessions queues'
).split(' ');
