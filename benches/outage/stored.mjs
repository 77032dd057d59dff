// What a server holds, whoever wrote it: contenders put prefixes of their own before a key.
import { testSupport } from '../../scripts/soak/support.mjs';

const { RespClient } = await testSupport('resp-client');
const OWN_PART = /outage:\w+:\d+$/;

/** The texts that the server holds, by key. */
export async function heldBy(port) {
  const client = await RespClient.connect({ port });
  client.encoding = 'latin1';
  const names = (await client.call('KEYS', '*')).filter((name) => OWN_PART.test(name));
  const texts = names.length === 0 ? [] : await client.pipeline(names.map((name) => ['GET', name]));
  client.close();
  return new Map(names.map((name, index) => [OWN_PART.exec(name)[0], texts[index]]));
}
