// One question to a Redis server over a plain socket, so that no contender's client is needed to ask it.
import { connect } from 'node:net';

/** The text of `INFO <section>`. */
export function info(port, section) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    let text = '';
    socket.setTimeout(5000, () => socket.destroy(new Error('the server does not answer')));
    socket.on('error', reject);
    socket.on('connect', () => socket.write(`INFO ${section}\r\nQUIT\r\n`));
    socket.on('data', (chunk) => (text += chunk));
    socket.on('end', () => resolve(text));
  });
}

export function infoField(text, name) {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(text)?.[1] ?? null;
}

/** How many connections the server has, but for the one that asks. */
export async function connectionsOf(port) {
  return Number(infoField(await info(port, 'clients'), 'connected_clients')) - 1;
}
