// A proxy in front of Redis that knows which connections have asked to be told of changes, and can make just these
// fall silent: nothing is carried any more, nothing is closed, as when a link breaks without a word.
import { connect, createServer } from 'node:net'

/** { port, freezeTracking() }; the latter answers how many connections it made silent. */
export function startProxy(target) {
  const pairs = new Set()
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: '127.0.0.1', port: target, noDelay: true })
    const pair = { client, upstream, tracks: false, frozen: false }
    pairs.add(pair)
    client.on('data', (bytes) => {
      pair.tracks ||= bytes.includes('TRACKING')
      if (!pair.frozen) upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (!pair.frozen) client.write(bytes)
    })
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      socket.on('error', end)
      socket.on('close', end)
    }
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ port: server.address().port, freezeTracking: () => freeze(pairs) }))
  })
}

function freeze(pairs) {
  const silent = [...pairs].filter(({ tracks, frozen }) => tracks && !frozen)
  for (const pair of silent) pair.frozen = true
  return silent.length
}
