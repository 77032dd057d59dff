// Free ports for servers that tests start.

import { createServer } from 'node:net'

const FIRST = 10_000
const COUNT = 20_000
let next = process.pid * 97

/**
 * One that this process is not given again, below those that the system hands out to connections: a server that is
 * killed finds its port free when it is started again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + (next++ % COUNT)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
