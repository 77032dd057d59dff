// Free ports.

import { createServer } from 'node:net'

/** The first free port from `from` on; without it, one of the system's own high range. */
export async function freePort(from = 0) {
  for (let port = from; port < 65_536; port++) {
    const found = await tryPort(port)
    if (found !== null) return found
  }
  throw new Error(`no free port from ${from} on`)
}

// Without a host, so that a port taken on any address of this machine counts as taken.
function tryPort(port) {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen(port, () => {
      const { port: found } = server.address()
      server.close(() => resolve(found))
    })
  })
}
