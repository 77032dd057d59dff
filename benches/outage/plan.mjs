// What an outage is here: the same for every contender.
export const LIMIT_MS = 15_000;
export const OUTSTANDING = 100;
export const LATER = 10;
export const WRITES = 1_000;
export const DELETES = 100;
/** From the kill until the server is started again; in the long outage even patient clients give up waiting. */
export const AWAY_MS = { written: 5_000, writtenLong: 100_000 };
/** From then until it is looked at. */
export const BACK_MS = 5_000;
/** So long the contender has known of the outage when it is written to. */
export const KNOWN_MS = 1_000;

const numbered = (family, count) => Array.from({ length: count }, (_, index) => `outage:${family}:${String(index).padStart(4, '0')}`);
export const WRITTEN = numbered('write', WRITES);
export const DELETED = numbered('delete', DELETES);
export const WARM = 'outage:warm';

export const textOf = (key) => `text of ${key}`;
