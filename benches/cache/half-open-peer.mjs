// The proxy of half-open.mjs, and the process that writes past it.
import { now } from '../../scripts/soak/clock.mjs'
import { openHoldfast } from './contenders.mjs'
import { serve, settings } from './peer.mjs'
import { startProxy } from './proxy.mjs'

const { port } = settings()
const proxy = await startProxy(port)
const cache = openHoldfast({ port })
await cache.get('warm')

const deeds = {
  listen: () => ({ proxyPort: proxy.port }),
  async freeze({ key, value }) {
    const frozen = proxy.freezeTracking()
    const at = now()
    await cache.set(key, value)
    return { frozen, at }
  },
}

serve((message) => deeds[message.deed](message))
