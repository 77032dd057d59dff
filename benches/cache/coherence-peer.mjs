// Process B of coherence.mjs: it writes what it is told.
import { now } from '../../scripts/soak/clock.mjs'
import { coherentStores } from './coherent-stores.mjs'
import { serve, settings } from './peer.mjs'

const { contenderId, port } = settings()
const store = await coherentStores.find(({ id }) => id === contenderId).open({ port })
await store.get('warm')

serve(async ({ key, turn }) => {
  const began = now()
  await store.set(key, { turn })
  return { began }
})
